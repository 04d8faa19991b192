package similar

import (
	"fmt"

	"github.com/sendgate/sendgate/policy"
)

// Level says how strongly to act on a message.
type Level uint8

// The levels, in ascending order.
const (
	Silent Level = iota
	Notice       // tell somebody
	Slow         // let it go at a pace, and tag it
	Review       // hold it until a person has looked
	Alert        // hold it and alert
)

var levelNames = [...]string{Silent: "none", Notice: "notice", Slow: "slow", Review: "review", Alert: "alert"}

// String is the name in the API.
func (l Level) String() string { return levelNames[min(l, Alert)] }

// Factors on the limits: mail that is alike only in its full text, and short mail without link or
// attachment ("thanks, received"), is often innocent.
const (
	fullFactor  = 2
	shortFactor = 3
)

// verdict weighs the recipients of one sender's campaign as they will be with this message.
func (c *Config) verdict(sig *Signature, text, wide Distinct) (Level, Distinct) {
	factor := 1
	if sig.short() && !sig.linked {
		factor = shortFactor
	}
	if sig.template {
		if c.Template > 0 && text.Hour >= c.Template {
			return Review, text
		}
		return Silent, text
	}
	l := c.level(text, factor)
	if sig.fullUnits >= minUnits {
		factor = 1
	}
	if w := c.level(wide, factor*fullFactor); w > l && sig.full != nil {
		return w, wide
	}
	return l, text
}

func (c *Config) level(d Distinct, factor int) Level {
	switch {
	case c.Alert.reached(d, factor):
		return Alert
	case c.Review.reached(d, factor):
		return Review
	case c.Slow.reached(d, factor):
		return Slow
	case c.Notice.reached(d, factor):
		return Notice
	}
	return Silent
}

func (t Threshold) reached(d Distinct, factor int) bool {
	return t.Hour > 0 && d.Hour >= t.Hour*factor || t.Day > 0 && d.Day >= t.Day*factor
}

// A Match is what is known of a message at the moment it is looked at.
type Match struct {
	// Campaign is the id of the campaign it belongs to; zero when nothing was like it.
	Campaign policy.ID
	// Similarity is to the nearest sample of the campaign, which is Sample.
	Similarity
	Sample policy.ID
	// Level is what to do, after a person's decision.
	Level Level
	// Distinct counts the sender's recipients with those of this message, by the channel that decided.
	Distinct Distinct
	// Senders is how many accounts sent the text, this one included.
	Senders int
	// Hijack is set when the same text went from several accounts to many.
	Hijack bool
	// Template says that the message is nothing but what its sender always writes.
	Template bool
	// Decision is what a person decided on the campaign and holds for this sender.
	Decision Decision
	// Reason is for people; empty at level none.
	Reason policy.Label
}

// reason says why.
func (m *Match) reason() policy.Label {
	switch {
	case m.Decision.Kind == Canceled:
		return policy.Label{EN: "This mailing was stopped", ZH: "该群发已被终止"}
	case m.Decision.Kind == Slowed && m.Level == Slow:
		return policy.Label{EN: "This mailing is slowed down", ZH: "该群发已被限速"}
	case m.Level == Silent:
		return policy.Label{}
	case m.Hijack:
		return policy.Label{
			EN: fmt.Sprintf("The same text is sent by %d accounts", m.Senders),
			ZH: fmt.Sprintf("同一内容由 %d 个账号发出", m.Senders),
		}
	case m.Template:
		return policy.Label{
			EN: fmt.Sprintf("Automatic message sent to %d recipients in 1 h", m.Distinct.Hour),
			ZH: fmt.Sprintf("1 小时内向 %d 位收件人发送了模板邮件", m.Distinct.Hour),
		}
	}
	return policy.Label{
		EN: fmt.Sprintf("Similar message sent to %d recipients in 24 h, %d in 1 h", m.Distinct.Day, m.Distinct.Hour),
		ZH: fmt.Sprintf("24 小时内向 %d 位收件人发送了相似邮件，其中 1 小时内 %d 位", m.Distinct.Day, m.Distinct.Hour),
	}
}

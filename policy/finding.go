package policy

import (
	"fmt"
	"strings"
	"time"
)

// A Finding is what one rule said about a message, with its numbers. The sentence made of it
// ([Finding.Text]) is the same in the SMTP reply, in notices, in the API and on the dashboard.
type Finding struct {
	Rule   string        `cbor:"1,keyasint,omitempty" json:"rule,omitempty"`
	Kind   string        `cbor:"2,keyasint" json:"kind"`                     // limit, hold, domain, suspension, ...
	Unit   Unit          `cbor:"3,keyasint,omitempty" json:"unit,omitempty"` // of Asked, Used and Limit
	Key    string        `cbor:"4,keyasint,omitempty" json:"key,omitempty"`  // whom it counts for
	Window time.Duration `cbor:"5,keyasint,omitempty" json:"window,omitempty"`
	Asked  int64         `cbor:"6,keyasint,omitempty" json:"asked,omitempty"`
	Used   int64         `cbor:"7,keyasint,omitempty" json:"used,omitempty"`   // before
	Limit  int64         `cbor:"8,keyasint,omitempty" json:"limit,omitempty"`  // effective
	Source string        `cbor:"9,keyasint,omitempty" json:"source,omitempty"` // of the limit: rule, override, boost, ramp
	Next   time.Time     `cbor:"10,keyasint,omitzero" json:"next,omitzero"`    // when it fits
	// Exceeded is true when the rule was broken; Decided when it made the verdict; Shadow when it only
	// says what it would have done; Warn when the usage has crossed the warning mark.
	Exceeded bool   `cbor:"11,keyasint,omitempty" json:"exceeded,omitempty"`
	Decided  bool   `cbor:"12,keyasint,omitempty" json:"decided,omitempty"`
	Shadow   bool   `cbor:"13,keyasint,omitempty" json:"shadow,omitempty"`
	Warn     bool   `cbor:"14,keyasint,omitempty" json:"warn,omitempty"`
	Action   Action `cbor:"15,keyasint,omitempty" json:"action,omitempty"`
	Detail   Label  `cbor:"16,keyasint,omitzero" json:"detail,omitzero"` // where numbers do not say it
}

// FoundSimilar is the kind of the findings about near-duplicates, whose key is the id of the campaign.
const FoundSimilar = "similar"

// Campaign is the id of the campaign that the finding is about, empty when it is about none.
func (f Finding) Campaign() string {
	if f.Kind != FoundSimilar {
		return ""
	}
	if id, err := ParseID(f.Key); err != nil || id.IsZero() {
		return ""
	}
	return f.Key
}

// Text is the finding in words for people.
func (f Finding) Text() Label {
	if f.Detail != (Label{}) {
		return f.Detail
	}
	switch f.Kind {
	case "limit":
	case "approval":
		at := f.Next.Local().Format("2006-01-02 15:04")
		if f.Action == Pass {
			return Label{"waits for approval until " + at + ", then goes out", "等待审批至 " + at + "，到期后放行"}
		}
		return Label{"waits for approval until " + at + ", then goes back to its sender", "等待审批至 " + at + "，到期后退回发件人"}
	default:
		return Label{f.Rule, f.Rule}
	}
	unit := f.Unit.Label(f.Limit)
	l := Label{
		fmt.Sprintf("%d of %d %s per %s used, %d asked", f.Used, f.Limit, unit.EN, span(f.Window).EN, f.Asked),
		fmt.Sprintf("每%s上限 %d %s，已用 %d，本次 %d", span(f.Window).ZH, f.Limit, unit.ZH, f.Used, f.Asked),
	}
	if f.Window == 0 {
		l = Label{
			fmt.Sprintf("%d %s in one message, the limit is %d", f.Asked, f.Unit.Label(f.Asked).EN, f.Limit),
			fmt.Sprintf("单封邮件有 %d %s，上限 %d", f.Asked, unit.ZH, f.Limit),
		}
	}
	if f.Exceeded && !f.Next.IsZero() {
		at := f.Next.Local().Format("15:04")
		l.EN += "; next free " + at
		l.ZH += "；" + at + " 起可发送"
	}
	return l
}

// span names the length of a window.
func span(d time.Duration) Label {
	switch d {
	case time.Minute:
		return Label{"minute", "分钟"}
	case time.Hour:
		return Label{"hour", "小时"}
	case 24 * time.Hour:
		return Label{"day", "天"}
	}
	s := d.String()
	s = strings.TrimSuffix(s, "0s")
	return Label{strings.TrimSuffix(s, "0m"), strings.TrimSuffix(s, "0m")}
}

// A Charge is what a message took of its limits, as it stands in the journal.
type Charge struct {
	At      int64    `cbor:"1,keyasint"` // Unix milliseconds
	Amounts []Amount `cbor:"2,keyasint,omitempty"`
	Retry   [16]byte `cbor:"3,keyasint"` // recognises a client's retry; zero is none
	First   ID       `cbor:"5,keyasint"` // the message that took it, of which this one is a retry, or itself
	Paces   []Paced  `cbor:"4,keyasint,omitempty"`
	// Signature is that of the text (package similar), and Strangers are the indexes of the recipients who
	// count for it.
	Signature []byte `cbor:"6,keyasint,omitempty"`
	Strangers []int  `cbor:"7,keyasint,omitempty"`
}

// An Amount is a number of units under one rule for one key.
type Amount struct {
	Rule   string        `cbor:"1,keyasint"`
	Key    string        `cbor:"2,keyasint"`
	Window time.Duration `cbor:"3,keyasint,omitempty"`
	Units  int64         `cbor:"4,keyasint"`
}

// Paced is a slot that a pace gave to a message.
type Paced struct {
	Rule string    `cbor:"1,keyasint"`
	Key  string    `cbor:"2,keyasint"`
	At   time.Time `cbor:"3,keyasint"` // when it may go
	TAT  time.Time `cbor:"4,keyasint"` // the theoretical arrival time after it
}

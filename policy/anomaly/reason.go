package anomaly

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// Code names a reason. The names are part of the API.
type Code string

// The reasons of conduct.
const (
	Flood        Code = "flood"         // twice Config.Hour strangers in an hour
	VolumeHour   Code = "volume_hour"   // strangers in an hour
	VolumeDay    Code = "volume_day"    // strangers in a day
	VolumeWeek   Code = "volume_week"   // strangers in a week
	Rising       Code = "rising"        // two thirds of Config.Hour
	RisingDay    Code = "rising_day"    // two thirds of Config.Day
	External     Code = "external"      // external recipients of all kinds in an hour
	Several      Code = "networks"      // networks or countries in an hour
	HardBounces  Code = "bounces"       // in an hour
	BounceShare  Code = "bounce_share"  // of a day
	UnknownUsers Code = "unknown_users" // in ten minutes
	Order        Code = "order"         // strangers in alphabetical order
	SameText     Code = "same_text"     // one text to many strangers
	SharedText   Code = "shared_text"   // the same text from several accounts
	NewAccount   Code = "ramp"          // more than a new account may send
)

// The reasons of circumstance.
const (
	Strangers Code = "strangers" // nearly only strangers
	Network   Code = "network"   // a new one
	Country   Code = "country"   // a new one
	Agent     Code = "agent"     // a new program
	From      Code = "from"      // an address that is not the login's
	Hours     Code = "hours"     // outside the account's own
	FreeMail  Code = "free_mail" // nearly only free-mail domains
	Bare      Code = "bare"      // empty subjects, or hardly more than a link
	Dormant   Code = "dormant"   // woke up after a long time
)

// What is said about messages for other causes than the score.
const (
	Recent    Code = "recent"    // a stage that is kept
	Suspended Code = "suspended" // the account is
	Capped    Code = "capped"    // too many of what a suspended account may still send
)

// defaultWeights is what each reason adds to the score.
var defaultWeights = map[Code]int{
	Flood: 7, VolumeHour: 5, VolumeDay: 5, VolumeWeek: 5, Rising: 2, RisingDay: 1, External: 2, Several: 6, HardBounces: 6, BounceShare: 3, UnknownUsers: 4,
	Order: 3, SameText: 2, SharedText: 6, NewAccount: 5,
	Strangers: 1, Network: 2, Country: 1, Agent: 1, From: 2, Hours: 1, FreeMail: 1, Bare: 1, Dormant: 1,
}

// conduct reports whether a reason is what an account does, not how it looks.
func (c Code) conduct() bool {
	switch c {
	case Strangers, Network, Country, Agent, From, Hours, FreeMail, Bare, Dormant:
		return false
	}
	return true
}

// hard reports whether a reason of conduct is of the last hour and hardly ever innocent. Without one an
// account is held at most.
func (c Code) hard() bool {
	switch c {
	case Flood, VolumeHour, Several, HardBounces, UnknownUsers, SharedText:
		return true
	}
	return false
}

// volume reports whether a reason is one of those of which only the heaviest counts.
func (c Code) volume() bool {
	return c == Flood || c == VolumeHour || c == VolumeDay || c == VolumeWeek || c == Rising
}

// Numbers are the evidence of a reason. What does not apply is 0.
type Numbers struct {
	Seen   float64       `json:"seen"`             // what was counted, with this message
	Limit  float64       `json:"limit,omitempty"`  // from where on it is a reason
	Usual  float64       `json:"usual,omitempty"`  // the account's own mean
	Spread float64       `json:"spread,omitempty"` // its standard deviation
	Of     float64       `json:"of,omitempty"`     // what Seen is a part of
	Window time.Duration `json:"window,omitempty"`
}

// Z is by how many standard deviations Seen is above Usual.
func (n Numbers) Z() float64 {
	if n.Spread == 0 {
		return 0
	}
	return (n.Seen - n.Usual) / n.Spread
}

// A Reason is one cause of a verdict.
type Reason struct {
	Code    Code         `json:"code"`
	Weight  int          `json:"weight"`
	Numbers Numbers      `json:"numbers"`
	Text    policy.Label `json:"text"`
}

// label puts a reason in words.
func label(c Code, n Numbers) policy.Label {
	seen, limit := whole(n.Seen), whole(n.Limit)
	usual := strconv.FormatFloat(n.Usual, 'f', 1, 64)
	say := func(en, zh string) policy.Label { return policy.Label{EN: en, ZH: zh} }
	f := fmt.Sprintf
	switch c {
	case Flood, VolumeHour, Rising:
		return say(f("%d new recipients in an hour, usually %s", seen, usual), f("一小时内有 %d 个陌生收件人，平时为 %s", seen, usual))
	case VolumeDay, RisingDay:
		return say(f("%d new recipients in a day, usually %s", seen, usual), f("一天内有 %d 个陌生收件人，平时为 %s", seen, usual))
	case VolumeWeek:
		return say(f("%d new recipients in a week, usually %s", seen, usual), f("一周内有 %d 个陌生收件人，平时为 %s", seen, usual))
	case External:
		return say(f("%d external recipients in an hour, usually %s", seen, usual), f("一小时内有 %d 个外部收件人，平时为 %s", seen, usual))
	case Several:
		return say(f("signed in from %d networks in an hour (limit %d)", seen, limit), f("一小时内从 %d 个网络登录（上限 %d）", seen, limit))
	case HardBounces:
		return say(f("%d mails came back in an hour (limit %d)", seen, limit), f("一小时内有 %d 封邮件被退回（上限 %d）", seen, limit))
	case BounceShare:
		return say(f("%d of %d mails of a day came back", seen, whole(n.Of)), f("一天内 %d 封（共 %d 封）邮件被退回", seen, whole(n.Of)))
	case UnknownUsers:
		return say(f("%d recipients of ten minutes do not exist (limit %d)", seen, limit), f("十分钟内有 %d 个收件人不存在（上限 %d）", seen, limit))
	case Order:
		return say(f("%d new recipients in alphabetical order", seen), f("%d 个陌生收件人按字母顺序排列", seen))
	case SameText:
		return say(f("the same text went to %d new recipients", seen), f("相同内容已发给 %d 个陌生收件人", seen))
	case SharedText:
		return say("several accounts send the same text", "多个账号发送相同内容")
	case NewAccount:
		return say(f("a new account wrote to %d recipients in a day (limit %d)", seen, limit), f("新账号一天内写给 %d 个收件人（上限 %d）", seen, limit))
	}
	return circumstance(c, n)
}

// circumstance is label for the rest.
func circumstance(c Code, n Numbers) policy.Label {
	seen, of := whole(n.Seen), whole(n.Of)
	say := func(en, zh string) policy.Label { return policy.Label{EN: en, ZH: zh} }
	f := fmt.Sprintf
	switch c {
	case Strangers:
		return say(f("%d of %d recipients are new", seen, of), f("%d 个（共 %d 个）收件人为陌生人", seen, of))
	case Network:
		return say("sent from a new network", "来自新的网络")
	case Country:
		return say("sent from a new country", "来自新的国家或地区")
	case Agent:
		return say("sent with a new program", "使用新的邮件程序")
	case From:
		return say("the From address is not the account's own", "发件人地址不属于该账号")
	case Hours:
		return say("sent outside the account's usual hours", "不在该账号平时的发信时间")
	case FreeMail:
		return say(f("%d of %d new recipients are at free-mail services", seen, of), f("%d 个（共 %d 个）陌生收件人使用免费邮箱", seen, of))
	case Bare:
		return say(f("%d mails without a subject or with little more than a link", seen), f("%d 封邮件没有主题或仅含链接", seen))
	case Dormant:
		return say(f("the account was silent for %d days", seen), f("该账号已有 %d 天未使用", seen))
	case Recent:
		return say(f("it was worse %d minutes ago", seen), f("%d 分钟前情况更严重", seen))
	case Capped:
		return say(f("a suspended account may write to %d internal recipients an hour", whole(n.Limit)), f("被暂停的账号每小时只能写给 %d 个内部收件人", whole(n.Limit)))
	}
	return say("the account is suspended from sending to other organisations", "该账号已被暂停对外发送邮件")
}

func whole(f float64) int { return int(math.Round(f)) }

func itoa(i int) string { return strconv.Itoa(i) }

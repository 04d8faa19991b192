package policy

import (
	"fmt"
	"strings"
)

// A Label is a text in the two languages people read here.
type Label struct {
	EN string `json:"en"`
	ZH string `json:"zh"`
}

// In gives the text in a language: zh for any tag that begins with it, else en.
func (l Label) In(lang string) string {
	if len(lang) >= 2 && strings.EqualFold(lang[:2], "zh") { // RFC 5646 2.1.1
		return l.ZH
	}
	return l.EN
}

// The six labels of a recipient, and the seventh.
var (
	LabelDelivering = Label{"Delivering", "投递中"}
	LabelMailbox    = Label{"Delivered to mailbox", "已投递到对方邮箱"}
	LabelRemote     = Label{"Delivered to remote server", "已投递到对方服务器"}
	LabelReturned   = Label{"Failed, returned", "投递失败，已退信"}
	LabelBlocked    = Label{"Blocked by policy", "投递被系统拦截"}
	LabelUnknown    = Label{"Unknown", "数据异常，状态未知"}
	LabelRecalled   = Label{"Recalled", "已撤回"}
)

// Label gives the label of a state.
func (s State) Label() Label {
	switch s {
	case StateDeliveredMailbox:
		return LabelMailbox
	case StateRelayedRemote:
		return LabelRemote
	case StateBounced, StateExpired, StateAsyncBounced, StateNeverQueued:
		return LabelReturned
	case StateBlocked:
		return LabelBlocked
	case StateUnknown:
		return LabelUnknown
	case StateCanceled, StateRecalled:
		return LabelRecalled
	}
	return LabelDelivering
}

// StateMixed is the state of a message whose recipients came to different ends.
const StateMixed State = "mixed"

// Aggregate gives the state and the label of a message from the number of recipients in each state:
// on the way while one is ("Delivering (2/3)": two of three are), the common state when all agree,
// else mixed.
func Aggregate(recipients map[State]int) (State, Label) {
	total, moving := 0, 0
	var state, way State
	mixed := false
	labels := map[Label]int{}
	for _, s := range States {
		n := recipients[s]
		if n == 0 {
			continue
		}
		total += n
		labels[s.Label()] += n
		if s.Label() == LabelDelivering {
			moving += n
			if way == "" {
				way = s
			}
		}
		mixed = mixed || state != "" && state.Label() != s.Label()
		state = s
	}
	switch {
	case moving == total:
		return way, LabelDelivering
	case moving > 0:
		return way, Label{
			fmt.Sprintf("Delivering (%d/%d)", moving, total),
			fmt.Sprintf("投递中 (%d/%d)", moving, total),
		}
	case !mixed:
		return state, state.Label()
	}
	return StateMixed, mixedLabel(labels)
}

// mixedLabel counts what became of the parts: "Partly: 1 Failed, returned; 2 Recalled".
func mixedLabel(recipients map[Label]int) Label {
	l := Label{"Partly: ", "部分："}
	sep := ""
	sepZH := ""
	for _, part := range []Label{LabelMailbox, LabelRemote, LabelReturned, LabelBlocked, LabelRecalled, LabelUnknown} {
		if n := recipients[part]; n > 0 {
			l.EN += fmt.Sprintf("%s%d %s", sep, n, part.EN)
			l.ZH += fmt.Sprintf("%s%d %s", sepZH, n, part.ZH)
			sep, sepZH = "; ", "；"
		}
	}
	return l
}

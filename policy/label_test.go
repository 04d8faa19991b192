package policy

import "testing"

// The texts are fixed: they stand in contracts and in other programs' searches.
func TestLabelOfEveryState(t *testing.T) {
	labelled := map[State]bool{}
	for _, c := range []struct {
		en, zh string
		states []State
	}{
		{"Delivering", "投递中", []State{
			StateAccepted, StateHeld, StateApprovalPending, StateOffered, StateQueued, StateHandedOver, StateDeferred,
		}},
		{"Delivered to mailbox", "已投递到对方邮箱", []State{StateDeliveredMailbox}},
		{"Delivered to remote server", "已投递到对方服务器", []State{StateRelayedRemote}},
		{"Failed, returned", "投递失败，已退信", []State{StateBounced, StateExpired, StateAsyncBounced, StateNeverQueued}},
		{"Blocked by policy", "投递被系统拦截", []State{StateBlocked}},
		{"Unknown", "数据异常，状态未知", []State{StateUnknown}},
		{"Recalled", "已撤回", []State{StateCanceled, StateRecalled}},
	} {
		for _, s := range c.states {
			if got := s.Label(); got != (Label{c.en, c.zh}) {
				t.Errorf("%s: %q, %q", s, got.EN, got.ZH)
			}
			labelled[s] = true
		}
	}
	for _, s := range States {
		if !labelled[s] {
			t.Errorf("%s has no row here", s)
		}
	}
}

func TestLabelIn(t *testing.T) {
	l := Label{"hello", "你好"}
	for lang, want := range map[string]string{
		"zh": "你好", "zh-CN": "你好", "zh-Hant-TW": "你好", "ZH-cn": "你好", "zh_CN.UTF-8": "你好",
		"en": "hello", "en-GB": "hello", "de": "hello", "": "hello", "z": "hello", "*": "hello",
	} {
		if got := l.In(lang); got != want {
			t.Errorf("In(%q) = %q", lang, got)
		}
	}
}

func TestAggregate(t *testing.T) {
	for _, c := range []struct {
		outcome    string
		recipients map[State]int
		state      State
		en, zh     string
	}{
		{"nobody is delivering", nil, "", "Delivering", "投递中"},
		{"states that nobody is in do not count", map[State]int{StateBounced: 0, StateRelayedRemote: 1}, StateRelayedRemote, "Delivered to remote server", "已投递到对方服务器"},
		{"one on the way", map[State]int{StateHeld: 1}, StateHeld, "Delivering", "投递中"},
		{"all on the way say the earliest state", map[State]int{StateDeferred: 1, StateQueued: 4}, StateQueued, "Delivering", "投递中"},
		{"two of three on the way", map[State]int{StateQueued: 1, StateDeferred: 1, StateBounced: 1}, StateQueued, "Delivering (2/3)", "投递中 (2/3)"},
		{"one of a hundred on the way", map[State]int{StateRelayedRemote: 60, StateDeliveredMailbox: 39, StateDeferred: 1}, StateDeferred, "Delivering (1/100)", "投递中 (1/100)"},
		{"unknown is not on the way", map[State]int{StateUnknown: 1, StateHeld: 1}, StateHeld, "Delivering (1/2)", "投递中 (1/2)"},
		{"all recalled", map[State]int{StateCanceled: 3}, StateCanceled, "Recalled", "已撤回"},
		{"all unknown", map[State]int{StateUnknown: 2}, StateUnknown, "Unknown", "数据异常，状态未知"},
		{"states of one label agree on the strongest", map[State]int{StateNeverQueued: 1, StateBounced: 2, StateAsyncBounced: 1}, StateAsyncBounced, "Failed, returned", "投递失败，已退信"},
		{
			"two ends", map[State]int{StateCanceled: 2, StateBounced: 1}, StateMixed,
			"Partly: 1 Failed, returned; 2 Recalled", "部分：1 投递失败，已退信；2 已撤回",
		},
		{
			"states of one label are counted together", map[State]int{StateBounced: 1, StateExpired: 2, StateRelayedRemote: 1}, StateMixed,
			"Partly: 1 Delivered to remote server; 3 Failed, returned", "部分：1 已投递到对方服务器；3 投递失败，已退信",
		},
		{
			"all six ends",
			map[State]int{
				StateDeliveredMailbox: 1, StateRelayedRemote: 2, StateBounced: 3, StateBlocked: 4, StateCanceled: 5, StateUnknown: 6,
			},
			StateMixed,
			"Partly: 1 Delivered to mailbox; 2 Delivered to remote server; 3 Failed, returned; 4 Blocked by policy; 5 Recalled; 6 Unknown",
			"部分：1 已投递到对方邮箱；2 已投递到对方服务器；3 投递失败，已退信；4 投递被系统拦截；5 已撤回；6 数据异常，状态未知",
		},
	} {
		t.Run(c.outcome, func(t *testing.T) {
			state, label := Aggregate(c.recipients)
			if state != c.state || label != (Label{c.en, c.zh}) {
				t.Errorf("%q, %q, %q", state, label.EN, label.ZH)
			}
		})
	}
}

func TestOneStateAloneIsTheStateOfTheMessage(t *testing.T) {
	for _, s := range States {
		for _, n := range []int{1, 7} {
			if state, label := Aggregate(map[State]int{s: n}); state != s || label != s.Label() {
				t.Errorf("%d %s: %s, %q", n, s, state, label.EN)
			}
		}
	}
}

// Any two states: on the way while one is, mixed where the labels differ, never empty.
func TestAggregateOfAnyTwoStates(t *testing.T) {
	for _, a := range States {
		for _, b := range States {
			state, _ := Aggregate(map[State]int{a: 1, b: 2})
			moving := func(s State) bool { return s.Label() == LabelDelivering }
			switch {
			case moving(a) || moving(b):
				if !moving(state) {
					t.Errorf("%s and %s: %s", a, b, state)
				}
			case a.Label() != b.Label():
				if state != StateMixed {
					t.Errorf("%s and %s: %s", a, b, state)
				}
			case state != a && state != b:
				t.Errorf("%s and %s: %s", a, b, state)
			}
		}
	}
}

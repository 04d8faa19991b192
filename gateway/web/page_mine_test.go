package web

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
)

func TestAUserSeesOwnMail(t *testing.T) {
	d := recallDash(t)
	id := d.accept("user@corp.example", "Salary list", "bob@corp.example", "carol@elsewhere.example")
	d.accept("alice@corp.example", "Somebody else's", "bob@corp.example")
	d.observe(id, policy.Event{Kind: policy.DeliveredMailbox, Recipients: []int{0}})
	d.observe(id, policy.Event{Kind: policy.Bounced, Recipients: []int{1}, Reply: "550 5.1.1 no such user"})
	held := d.accept("user@corp.example", "Offer", "eve@elsewhere.example")
	b := d.as("user")
	_, page := b.get("/mine")
	for _, text := range []string{
		"Salary list", "bob@corp.example", "Delivered to mailbox", "Failed, returned", "550 5.1.1 no such user", "Offer", "Delivering", "Send now",
		"/recalls/new?message=" + id, "/recalls/new?message=" + held, "Can be recalled until", "Leaves", "/account", `sse-connect="/mine/live"`,
	} {
		if !strings.Contains(page, text) {
			t.Errorf("lacks %q:\n%s", text, inner(page))
		}
	}
	if strings.Contains(page, "Somebody else") {
		t.Error("mail of others is shown")
	}
	b.language = "zh-CN"
	b.sees("/mine", "我的已发邮件", "已投递到对方邮箱", "投递失败，已退信", "立即发送", "可撤回，截止")
	d.now = d.now.Add(25 * time.Hour)
	b = d.as("user")
	b.sees("/mine", "No mail in the last 24 hours")
}

func TestAUserTakesBackOwnMail(t *testing.T) {
	d := recallDash(t)
	id := d.accept("user@corp.example", "Salary list", "bob@corp.example")
	d.observe(id, policy.Event{Kind: policy.DeliveredMailbox, Recipients: []int{0}})
	b := d.as("user")
	b.sees("/recalls/new?message="+id, "Salary list", "Only what the recipient has not read is taken back.", `href="/mine"`)
	if _, page := b.post("/recalls/new", "/recalls/new", "message", id, "reason", "wrong list"); !strings.Contains(page, "1 of 1 can be taken back") {
		t.Error(inner(page))
	}
	status, page := b.post("/recalls", "/recalls/new", "message", id, "reason", "wrong list")
	if status != http.StatusOK || !strings.Contains(page, "Under way") || d.recalls.request.Requester.Identity != "user@corp.example" || !d.recalls.request.UnreadOnly {
		t.Errorf("%d %+v: %s", status, d.recalls.request, inner(page))
	}
	b.sees("/mine", "My recalls", "wrong list", "Under way")
	if _, page := b.get("/recalls/new"); !strings.Contains(page, "Salary list") || !strings.Contains(page, "My sent mail") {
		t.Error("without a message a user is led to the own mail")
	}
}

func TestAUserLetsOwnMailGo(t *testing.T) {
	d := recallDash(t)
	id := d.accept("user@corp.example", "Offer", "eve@elsewhere.example")
	other := d.accept("alice@corp.example", "Offer", "eve@elsewhere.example")
	b := d.as("user")
	if _, page := b.post("/mine/"+id+"/release", "/mine"); !strings.Contains(page, "It leaves now.") || !d.holder.until.Equal(d.now.Add(soon)) {
		t.Errorf("until %v: %s", d.holder.until, inner(page))
	}
	if _, page := b.post("/mine/"+other+"/release", "/mine"); !strings.Contains(page, "There is no such message among yours.") {
		t.Error(inner(page))
	}
	d.holder.fail = &Refusal{Code: "not_held", Detail: "the message is not held"}
	if _, page := b.post("/mine/"+id+"/release", "/mine"); !strings.Contains(page, "It is not held any more: it has left already.") {
		t.Error(inner(page))
	}
}

func TestManyRecipientsOfOwnMailAreFolded(t *testing.T) {
	d := recallDash(t)
	var to []string
	for i := range 60 {
		to = append(to, "r"+itoa(i)+"@corp.example")
	}
	id := d.accept("user@corp.example", "Offer", to...)
	d.as("user").sees("/mine", "r4@corp.example", "45 more recipients", "/messages/"+id+"?all=1", "and 10 more")
	m := mineMailOf(&MessageDetail{Recipients: []Recipient{
		{Address: "a", Superseded: true, State: policy.StateHeld}, {Address: "b", State: policy.StateDeliveredMailbox, Recall: &RecallState{ID: "1"}},
		{Address: "c", State: policy.StateQueued, Recall: &RecallState{ID: "2"}},
	}})
	if m.Held || len(m.Rows) != 2 || m.Recall != "2" {
		t.Errorf("%+v", m)
	}
}

func TestOwnMailIsHarmless(t *testing.T) {
	d := recallDash(t)
	for _, bad := range payloads {
		id := d.accept("user@corp.example", bad, "bob@corp.example")
		d.observe(id, policy.Event{Kind: policy.Bounced, Recipients: []int{0}, Reply: bad})
	}
	r := reportOf(policy.RecallAllSuccess)
	r.ID = policy.ID{0: 1}
	r.Request = policy.RecallRequest{Reason: payloads[0], Requester: policy.RecallRequester{Role: "user", Identity: "user@corp.example"}}
	d.recalls.put(r)
	b := d.as("user")
	_, page := b.get("/mine")
	if !strings.Contains(page, "alert(1)") {
		t.Error("nothing hostile is shown")
	}
	harmless(t, page)
	harmless(t, b.stream("/mine/live"))
	if !strings.Contains(b.stream("/mine/live"), "event: recalls_mine\n") {
		t.Error("no live mail")
	}
}

func TestOthersHaveAllMessages(t *testing.T) {
	d := recallDash(t)
	d.accept("alice@corp.example", "Offer", "eve@elsewhere.example")
	for _, role := range []string{"admin", "operator", "auditor"} {
		d.as(role).sees("/mine", "Offer", "alice@corp.example")
	}
}

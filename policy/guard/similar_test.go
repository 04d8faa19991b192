package guard

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/policy/content"
	"github.com/sendgate/sendgate/policy/similar"
)

func (d *desk) letter(text string, to ...string) policy.Submission {
	s := d.mail(to...)
	c, err := content.Read(strings.NewReader("Subject: offer\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"+text+"\r\n"), content.DefaultLimits(), time.Now)
	if err != nil {
		d.t.Fatal(err)
	}
	s.Content = &c
	return s
}

// comparing makes the desk compare texts.
func (d *desk) comparing() *desk {
	s := d.settings()
	s.Similar = similar.DefaultConfig()
	s.Similar.Seed = [16]byte{1}
	d.g = New(s)
	return d
}

var texts = map[string]string{
	"English": "Dear %s, our spring catalogue has arrived. We invite you to look at the new pumps, valves and fittings, all of them in stock in our warehouse and delivered within two days. Your personal number is %d, please name it with every order.",
	"Chinese": "尊敬的%s，我公司春季新品目录已经发布，诚邀您选购全新的水泵、阀门和管件，所有产品均有现货，两日内送达。您的专属编号为%d，订货时请注明，感谢您一直以来对我们工作的支持与信任。",
}

func TestABulkWaveWaitsForAPerson(t *testing.T) {
	for language, text := range texts {
		t.Run(language, func(t *testing.T) {
			d := newDesk(t).comparing()
			actions := map[policy.Action]int{}
			for i := range 130 {
				d.now = d.now.Add(10 * time.Minute)
				s := d.letter(fmt.Sprintf(text, fmt.Sprintf("Mr Number%d", i), 1000+i), fmt.Sprintf("c%d@remote.example", i))
				v := d.decide(s)
				d.accept(s, v)
				actions[v.Action]++
			}
			if n := actions[policy.Approval]; n < 20 || n > 40 || actions[policy.Hold] < 20 {
				t.Errorf("actions %v", actions)
			}
			list := d.g.Campaigns(d.now, 2)
			if len(list) != 1 || list[0].Messages < 100 {
				t.Fatalf("campaigns %+v", list)
			}
			decide := func(what string) policy.Verdict {
				d.now = d.now.Add(time.Minute)
				d.g.Observe(d.now, d.id(), nil, policy.Event{Kind: policy.CampaignDecided, Time: d.now, Actor: "api:ops", Subject: list[0].ID.String(), Rule: what, Until: d.now.Add(time.Hour)})
				return d.decide(d.letter(fmt.Sprintf(text, "Mr Last", 1), "last@remote.example"))
			}
			if v := decide("cancel"); v.Action != policy.Reject || v.Code != 550 || v.Status != "5.7.28" || !strings.HasPrefix(v.Text.EN, "This mailing was stopped (ref ") {
				t.Errorf("canceled: %+v", v)
			}
			for _, what := range []string{"approve", "allow"} {
				if v := decide(what); v.Action != policy.Pass {
					t.Errorf("%s: %+v", what, v)
				}
			}
			if v := decide("slow"); v.Action != policy.Hold && v.Action != policy.Pass {
				t.Errorf("slow: %+v", v)
			}
			if v := decide("withdraw"); v.Action != policy.Approval || v.Rule != "similar" {
				t.Errorf("withdrawn: %+v", v)
			}
		})
	}
}

func TestOrdinaryMailIsNoWave(t *testing.T) {
	d := newDesk(t).comparing()
	for i := range 120 {
		d.now = d.now.Add(time.Minute)
		s := d.letter(fmt.Sprintf("Hello, about item %d: %s", i, strings.Repeat(fmt.Sprintf("word%d other%d thing%d ", i, i*7, i*13), 20)), fmt.Sprintf("c%d@remote.example", i))
		v := d.decide(s)
		d.accept(s, v)
		if v.Action != policy.Pass {
			t.Fatalf("message %d: %+v", i, v)
		}
	}
	for i := range 120 { // one text, to colleagues and to one customer
		s := d.letter(fmt.Sprintf(texts["English"], "all", i), "boss@corp.example", "one@remote.example")
		v := d.decide(s)
		d.accept(s, v)
		if v.Action != policy.Pass {
			t.Fatalf("to colleagues %d: %+v", i, v)
		}
	}
}

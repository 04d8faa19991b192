package guard

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/policy/anomaly"
	"github.com/sendgate/sendgate/policy/content"
)

// letter is mail with a text, which is read at its end as in the relay: what was said at the header
// is the first verdict.
func (w *watched) letter(text string, links []string, to ...string) (policy.Submission, policy.Verdict, policy.Verdict) {
	w.t.Helper()
	s := w.mail(to...)
	s.Time = w.now
	early := w.decide(s)
	s.Content, s.Stage = &content.Content{Text: text, Links: links}, policy.StageContent
	late := w.decide(s)
	v := early.And(late)
	if !refuses(&v) {
		w.tell(s.ID, s.Envelope, policy.Event{Kind: policy.Accepted, Charge: v.Charge, Findings: v.Findings})
	}
	return s, early, late
}

const offer = "We have looked at the drawings again and can offer the pump with the larger flange for the price that was agreed in spring; delivery takes six weeks."

func TestTheSameTextToManyIsSeenWhenItIsRead(t *testing.T) {
	w := newWatched(t, func(s *Settings) {
		s.Similar.Notice.Hour, s.Similar.Slow.Hour, s.Similar.Review.Hour = 1000, 1000, 1000
	})
	for range 3 {
		_, early, late := w.letter(offer, nil, w.strangers(6)...)
		if len(codes(late)) > 0 {
			t.Fatalf("%v, then %v", codes(early), codes(late))
		}
	}
	_, early, late := w.letter(offer, nil, w.strangers(6)...)
	if !slices.Contains(codes(late), "same_text") || slices.Contains(codes(early), "same_text") {
		t.Errorf("%v, then %v", codes(early), codes(late))
	}
}

func TestANewsletterThatAPersonAllowedCountsForNothing(t *testing.T) {
	w := newWatched(t, nil)
	first, _, _ := w.letter(offer, nil, w.strangers(10)...)
	before := saved(t, w.g)
	w.tell(policy.ID{}, nil, policy.Event{Kind: policy.CampaignDecided, Subject: first.ID.String(), Rule: "allow", Actor: "api:ops", Until: w.now.Add(24 * time.Hour)})
	for range 3 {
		w.now = w.now.Add(time.Second)
		if _, early, late := w.letter(offer, nil, w.strangers(100)...); early.Action != policy.Pass || late.Action != policy.Pass {
			t.Fatalf("%v %v, then %v %v", early.Action, codes(early), late.Action, codes(late))
		}
	}
	if w.g.watch.Standing(w.now, "ann").Stage != anomaly.Pass || bytes.Equal(before, saved(t, w.g)) {
		t.Error("it reached a stage, or was not told")
	}
	var b bytes.Buffer
	if err := w.g.Save(PartCampaigns, &b, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := w.g.Load(PartCampaigns, &b); err != nil {
		t.Fatal(err)
	}
	w.g.pardoned = map[string]map[policy.ID]time.Time{}
	w.g.Resume(w.now)
	if _, early, _ := w.letter(offer, nil, w.strangers(100)...); early.Action != policy.Pass {
		t.Errorf("after a restart: %v", early.Action)
	}
	_, early, late := w.letter("Dear customer, your mailbox is full. Confirm your password at once or lose all of your messages today.", nil, w.strangers(60)...)
	if early.Action != policy.Pass || late.Action != policy.Defer || late.Status != "4.7.28" {
		t.Errorf("another text: %v, then %v %v", early.Action, late.Action, codes(late))
	}
	w.suspended = nil
	w.tell(policy.ID{}, nil, policy.Event{Kind: policy.Unsuspended, Subject: "ann", Time: w.now.Add(time.Second)})
	w.tell(policy.ID{}, nil, policy.Event{Kind: policy.CampaignDecided, Subject: first.ID.String(), Rule: "withdraw", Actor: "api:ops"})
	w.now = w.now.Add(time.Minute)
	if _, early, _ := w.letter(offer, nil, w.strangers(60)...); early.Action != policy.Defer {
		t.Errorf("allowed no more: %v", early.Action)
	}
}

func TestMailsThatAreHardlyMoreThanALink(t *testing.T) {
	w := newWatched(t, nil)
	link := "https://x.example/a"
	for i := range 6 {
		_, early, late := w.letter("look: "+link, []string{link}, w.strangers(1)...)
		want := " then bare"
		switch i {
		case 4: // the stage, its reason, and the fact
			want = " then log bare bare"
		case 5: // there were enough before
			want = "log bare then bare"
		}
		if got := strings.Join(codes(early), " ") + " then " + strings.Join(codes(late), " "); got != want {
			t.Errorf("mail %d: %s", i+1, got)
		}
	}
	_, _, late := w.letter(offer+link, []string{link}, w.strangers(1)...)
	if len(codes(late)) > 0 {
		t.Errorf("one with a text: %v", codes(late))
	}
	if l := terseText(); l.EN != "hardly more than a link" || l.ZH != "内容几乎只有链接" {
		t.Error(l)
	}
}

// pass has a text sent, and gives its campaign.
func (w *watched) pass() string {
	s, _, _ := w.letter(offer, nil, w.strangers(2)...)
	return s.ID.String()
}

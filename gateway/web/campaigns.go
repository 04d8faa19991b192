package web

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/policy/similar"
	"github.com/sendgate/sendgate/store"
)

var (
	errCampaignID       = problem(http.StatusNotFound, "not_found", "that is not the id of a campaign: an id has 26 letters and digits")
	errCampaignNotFound = problem(http.StatusNotFound, "not_found", "there is no such campaign, or it is forgotten because nothing like it was sent for long")
)

// maxWaiting bounds the ids of waiting messages that a campaign is shown with.
const maxWaiting = 300

// Campaigns are the near-duplicates that people send, and what was decided about them. An error is
// inability; what the rules do not allow is a [Refusal], and a campaign that there is not is
// [similar.ErrUnknown].
type Campaigns interface {
	// List gives the campaigns with at least so many messages, and those that were noticed or decided
	// on, the latest first.
	List(messages int) []similar.Campaign
	// Get gives one campaign.
	Get(id policy.ID) (similar.Campaign, error)
	// Decide does what a person wants of a campaign: approve, cancel, return (cancel, and tell the senders as
	// [Holder.Return] does), slow, allow (until a time) or withdraw. It acts on all that waits for approval because of it, and tells how many messages that
	// were. The decision stands when the method returns, even if with an error some messages still wait.
	Decide(ctx context.Context, id policy.ID, what string, until time.Time, reason, actor string) (messages int, err error)
	// Waiting lists the messages that wait for approval because of it.
	Waiting(ctx context.Context, id policy.ID) ([]policy.ID, error)
	// Text gives what a message says, with the hints by which it was normalised. [store.ErrNotFound] when
	// its body is not kept any more.
	Text(ctx context.Context, id policy.ID) (text string, hints similar.Hints, err error)
}

// A Campaign is a line of the list of campaigns: messages that say nearly the same.
type Campaign struct {
	ID          string            `json:"id" doc:"that of its first message"`
	Subject     string            `json:"subject" doc:"of the first message; empty when that is no longer stored"`
	Sender      string            `json:"sender" doc:"identity that sent it first"`
	SenderCount int               `json:"sender_count" doc:"identities that sent it"`
	First       time.Time         `json:"first_seen"`
	Last        time.Time         `json:"last_seen"`
	Messages    uint64            `json:"messages"`
	Recipients  uint64            `json:"recipients" doc:"of all messages, one by one, as far as they count: external ones who never wrote to the sender"`
	Distinct    Reach             `json:"distinct" doc:"different recipients of all senders together"`
	Level       string            `json:"level" enum:"none,notice,slow,review,alert" doc:"the highest it reached"`
	Label       policy.Label      `json:"label" doc:"the level in words"`
	Hijack      bool              `json:"hijack" doc:"the same text came from several accounts: they may be in the hands of somebody else"`
	Decision    *CampaignDecision `json:"decision,omitempty" doc:"absent as long as nobody has decided"`
}

// Reach is how many different recipients there were.
type Reach struct {
	Hour int `json:"hour" doc:"in the last hour"`
	Day  int `json:"day" doc:"in the last 24 hours"`
}

// A CampaignDecision is what a person said about a campaign.
type CampaignDecision struct {
	Verdict string       `json:"verdict" enum:"approved,allowed,slowed,canceled"`
	Label   policy.Label `json:"label"`
	By      string       `json:"by"`
	At      time.Time    `json:"at"`
	Until   time.Time    `json:"until,omitzero" doc:"with allowed"`
	Over    bool         `json:"over,omitempty" doc:"the time has come: it is looked at as if nobody had decided"`
	Senders []string     `json:"senders" nullable:"false" doc:"whom it holds for: those who had sent the text then; canceled holds for everybody"`
}

// A CampaignList lists campaigns, the latest first.
type CampaignList struct {
	Campaigns []Campaign `json:"campaigns" nullable:"false"`
	Total     int        `json:"total" doc:"how many there are, with those beyond the limit"`
}

type listCampaignsInput struct {
	Min   int `query:"min" minimum:"1" maximum:"1000000" default:"2" doc:"messages from which on a campaign is listed; one that was noticed or decided on always is"`
	Limit int `query:"limit" minimum:"1" maximum:"1000" default:"50"`
}

type listCampaignsOutput struct{ Body CampaignList }

func (s *Server) listCampaigns(ctx context.Context, in *listCampaignsInput) (*listCampaignsOutput, error) {
	all := seen(ctx, s.campaigns.List(in.Min), s.seesCampaign)
	out := &listCampaignsOutput{CampaignList{Campaigns: make([]Campaign, min(in.Limit, len(all))), Total: len(all)}}
	for i := range out.Body.Campaigns {
		var err error
		if out.Body.Campaigns[i], err = s.campaignView(&all[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (s *Server) campaignView(c *similar.Campaign) (Campaign, error) {
	v := Campaign{
		ID: c.ID.String(), SenderCount: len(c.Senders), First: c.First.UTC(), Last: c.Last.UTC(), Messages: c.Messages,
		Recipients: c.Recipients, Distinct: Reach(c.Distinct), Level: c.Level.String(), Label: levelLabel(c.Level), Hijack: c.Hijack,
		Decision: s.campaignDecision(&c.Decision),
	}
	if len(c.Senders) > 0 {
		v.Sender = c.Senders[0].Name
	}
	var err error
	v.Subject, err = s.subject(c.ID)
	return v, err
}

// subject gives that of a message as long as it is stored.
func (s *Server) subject(id policy.ID) (string, error) {
	m, err := s.journal.Message(id)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return "", s.fail("read message", err)
	}
	return m.Envelope.Subject, nil
}

func (s *Server) campaignDecision(d *similar.Decision) *CampaignDecision {
	if d.Kind == similar.Undecided {
		return nil
	}
	return &CampaignDecision{
		Verdict: string(d.Kind), Label: decisionLabel(d.Kind), By: d.By, At: d.At.UTC(), Until: d.Until.UTC(),
		Over: d.Kind == similar.Allowed && !s.now().Before(d.Until), Senders: append([]string{}, d.Senders...),
	}
}

// A CampaignDetail is everything known of one campaign.
type CampaignDetail struct {
	Campaign
	Senders    []CampaignSender `json:"senders" nullable:"false" doc:"in the order in which they joined"`
	Hours      []CampaignHour   `json:"hours" nullable:"false" doc:"the last 72 hours in which something was sent, oldest first"`
	Samples    []CampaignSample `json:"samples" nullable:"false" doc:"up to six messages that differ; the first is the first of all"`
	Waiting    int              `json:"waiting" doc:"messages that wait for approval because of it"`
	WaitingIDs []string         `json:"waiting_ids" nullable:"false" doc:"of the first 300 of them"`
}

// A CampaignSender is one identity's part in a campaign.
type CampaignSender struct {
	Identity string    `json:"identity"`
	First    time.Time `json:"first_seen"`
	Last     time.Time `json:"last_seen"`
	Messages uint64    `json:"messages"`
	Distinct Reach     `json:"distinct" doc:"different recipients"`
}

// A CampaignHour is what was sent in one hour.
type CampaignHour struct {
	Start      time.Time `json:"start"`
	Messages   uint32    `json:"messages"`
	Recipients uint32    `json:"recipients"`
}

type campaignInput struct {
	ID string `path:"id" maxLength:"100" doc:"id of the campaign"`
}

type campaignOutput struct{ Body *CampaignDetail }

func (s *Server) getCampaign(ctx context.Context, in *campaignInput) (*campaignOutput, error) {
	c, err := s.campaign(in.ID)
	if err != nil {
		return nil, err
	}
	v, err := s.campaignDetail(ctx, &c)
	if err != nil {
		return nil, err
	}
	return &campaignOutput{v}, nil
}

// campaign finds one by what stands in a path.
func (s *Server) campaign(text string) (similar.Campaign, error) {
	id, err := policy.ParseID(text)
	if err != nil {
		return similar.Campaign{}, errCampaignID
	}
	c, err := s.campaigns.Get(id)
	if err != nil {
		return c, s.campaignError("read campaign", err)
	}
	return c, nil
}

// campaignError turns an error of Campaigns into a problem.
func (s *Server) campaignError(what string, err error) error {
	if errors.Is(err, similar.ErrUnknown) {
		return errCampaignNotFound
	}
	return s.refused(what, err)
}

func (s *Server) campaignDetail(ctx context.Context, c *similar.Campaign) (*CampaignDetail, error) {
	v := &CampaignDetail{Senders: []CampaignSender{}, Hours: []CampaignHour{}, WaitingIDs: []string{}}
	var err error
	if v.Campaign, err = s.campaignView(c); err != nil {
		return nil, err
	}
	for _, m := range c.Senders {
		v.Senders = append(v.Senders, CampaignSender{m.Name, m.First.UTC(), m.Last.UTC(), m.Messages, Reach(m.Distinct)})
	}
	for _, h := range c.Hours {
		v.Hours = append(v.Hours, CampaignHour{h.Start(), h.Messages, h.Recipients})
	}
	if v.Samples, err = s.campaignSamples(ctx, c.Samples); err != nil {
		return nil, err
	}
	waiting, err := s.campaigns.Waiting(ctx, c.ID)
	if err != nil {
		return nil, s.campaignError("list what waits of a campaign", err)
	}
	v.Waiting = len(waiting)
	for _, id := range waiting[:min(maxWaiting, len(waiting))] {
		v.WaitingIDs = append(v.WaitingIDs, id.String())
	}
	return v, nil
}

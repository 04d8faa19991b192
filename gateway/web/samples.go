package web

import (
	"context"
	"errors"
	"time"

	"github.com/sendgate/sendgate/policy/similar"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

// A CampaignSample is a message that stands for others of its campaign, with how its text differs.
type CampaignSample struct {
	ID         string    `json:"id" doc:"of the message"`
	Identity   string    `json:"identity" doc:"who sent it"`
	Subject    string    `json:"subject"`
	Time       time.Time `json:"time"`
	Similarity float64   `json:"similarity" doc:"from 0 to 1, to the sample by which it was recognised"`
	Gone       bool      `json:"gone,omitempty" doc:"its text is not kept any more"`
	Edits      []Edit    `json:"edits" nullable:"false" doc:"what makes its text out of that of the first sample whose text is kept. The texts are normalised: lower case, without what is quoted, numbers are #, links <link>, addresses <mail>, names of recipients <name>"`
}

// An Edit is a run of words or ideographs that two texts share, or that one of them has alone.
type Edit struct {
	Op     string   `json:"op" enum:"same,removed,added"`
	Tokens []string `json:"tokens" nullable:"false"`
}

// A plainText is what a message says, with what is needed to normalise it.
type plainText struct {
	text  string
	hints similar.Hints
}

// campaignSamples shows each sample by its differences to the first that still has a text.
func (s *Server) campaignSamples(ctx context.Context, samples []similar.Sample) ([]CampaignSample, error) {
	views := make([]CampaignSample, len(samples))
	var first *plainText
	for i := range samples {
		sample := &samples[i]
		subject, err := s.subject(sample.ID)
		if err != nil {
			return nil, err
		}
		views[i] = CampaignSample{
			ID: sample.ID.String(), Identity: sample.Sender, Subject: subject, Time: sample.At.UTC(), Similarity: sample.Similarity, Edits: []Edit{},
		}
		t := s.sampleText(ctx, sample)
		switch {
		case t == nil:
			views[i].Gone = true
		case first == nil:
			first = t
			views[i].Edits = unchanged(t)
		default:
			views[i].Edits = differences(first, t)
		}
	}
	return views, nil
}

// sampleText gives nil where there is no text. One that cannot be read does not hide the campaign.
func (s *Server) sampleText(ctx context.Context, sample *similar.Sample) *plainText {
	text, hints, err := s.campaigns.Text(ctx, sample.ID)
	if err == nil {
		return &plainText{text, hints}
	}
	if !errors.Is(err, store.ErrNotFound) {
		s.log.Error("read the text of a sample", zap.Stringer("id", sample.ID), zap.Error(err))
	}
	return nil
}

func unchanged(t *plainText) []Edit {
	tokens := similar.Tokens(t.text, t.hints)
	if len(tokens) == 0 {
		return []Edit{}
	}
	return []Edit{{string(similar.Same), tokens}}
}

func differences(first, t *plainText) []Edit {
	list := []Edit{}
	for _, e := range similar.Diff(first.text, first.hints, t.text, t.hints) {
		list = append(list, Edit{string(e.Op), e.Tokens})
	}
	return list
}

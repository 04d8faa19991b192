package web

import (
	"context"
	"time"

	"github.com/sendgate/sendgate/gateway/web/signin"
)

// A KnownToken is a token of the configuration, without what it takes to use it.
type KnownToken struct {
	Name   string    `json:"name"`
	Role   string    `json:"role"`
	Used   time.Time `json:"used,omitzero" doc:"its last request, up to an hour too early after a restart; absent when none is known"`
	Client string    `json:"client,omitempty" doc:"with used: from where"`
}

// An EffectiveConfig is what holds, defaults included.
type EffectiveConfig struct {
	YAML string `json:"yaml" doc:"as the configuration file would say it; secrets are hidden"`
}

// A SetUpRequest asks for a link that makes an administrator.
type SetUpRequest struct {
	Another bool `json:"another,omitempty" doc:"although there is one, for example because the password is lost"`
}

// A SetUpLink makes one administrator, once.
type SetUpLink struct {
	URL   string    `json:"url"`
	Until time.Time `json:"until"`
}

type (
	tokensOutput struct {
		Body struct {
			Tokens []KnownToken `json:"tokens" nullable:"false"`
		}
	}
	configOutput struct{ Body EffectiveConfig }
	setUpInput   struct{ Body SetUpRequest }
	setUpOutput  struct{ Body SetUpLink }
)

func (s *Server) listTokens(_ context.Context, _ *struct{}) (*tokensOutput, error) {
	out := &tokensOutput{}
	out.Body.Tokens = []KnownToken{}
	for _, t := range s.settings.Load().tokens {
		known := KnownToken{Name: t.actor[len("api:"):], Role: t.role}
		use := s.uses.of(&t)
		known.Used, known.Client = use.At, use.Client
		out.Body.Tokens = append(out.Body.Tokens, known)
	}
	return out, nil
}

func (s *Server) getConfig(_ context.Context, _ *struct{}) (*configOutput, error) {
	text, err := s.configuration()
	if err != nil {
		return nil, s.fail("print the configuration", err)
	}
	return &configOutput{EffectiveConfig{YAML: text}}, nil
}

// makeSetUpLink is for the root of this machine when nobody can sign in.
func (s *Server) makeSetUpLink(ctx context.Context, in *setUpInput) (*setUpOutput, error) {
	if err := s.withDesk(); err != nil {
		return nil, err
	}
	link, err := s.SetUpLink(in.Body.Another)
	switch {
	case err != nil:
		return nil, s.fail("make a set-up link", err)
	case link == "":
		return nil, errSetUpDone
	}
	s.actedOn(ctx, "setup_link", "")
	return &setUpOutput{SetUpLink{URL: link, Until: s.now().UTC().Add(signin.SetUpFor)}}, nil
}

// SetUpLink makes the link by which the first administrator is made, and ends one from before. It is empty when
// there is an administrator, unless another one is wanted.
func (s *Server) SetUpLink(another bool) (string, error) {
	make := s.desk.SetUp
	if another {
		make = s.desk.SetUpAgain
	}
	token, err := make()
	if token == "" || err != nil {
		return "", err
	}
	return s.url + "/set-up?token=" + token, nil
}

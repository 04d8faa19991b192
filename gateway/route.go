package gateway

import (
	"errors"
	"fmt"

	"github.com/sendgate/sendgate/gateway/relay/upstream"
	"github.com/sendgate/sendgate/policy"
	"go.uber.org/zap"
)

// routes finds the upstream of a recipient: the first one that names its domain, else the one that
// names none.
type routes struct {
	upstreams []*upstream.Upstream
	configs   []upstream.Config
	fallback  *upstream.Upstream
}

func newRoutes(configs []upstream.Config, hostname string, log *zap.Logger) (*routes, error) {
	r := &routes{configs: configs}
	for _, c := range configs {
		u, err := upstream.New(c, hostname, log)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("upstream %s: %w", c.Name, err), r.close())
		}
		r.upstreams = append(r.upstreams, u)
		if len(c.Match) == 0 {
			r.fallback = u
		}
	}
	return r, nil
}

// Route gives the upstream of a recipient; the empty address has the one that names no domain.
func (r *routes) Route(recipient policy.Address) *upstream.Upstream {
	for i := range r.configs {
		if r.configs[i].Matches(recipient) {
			return r.upstreams[i]
		}
	}
	return r.fallback
}

func (r *routes) named(name string) *upstream.Upstream {
	for i := range r.configs {
		if r.configs[i].Name == name {
			return r.upstreams[i]
		}
	}
	return r.fallback
}

func (r *routes) close() error {
	var errs []error
	for _, u := range r.upstreams {
		errs = append(errs, u.Close())
	}
	return errors.Join(errs...)
}

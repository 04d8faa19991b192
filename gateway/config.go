package gateway

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/sendgate/sendgate/gateway/config"
	"github.com/sendgate/sendgate/gateway/domain"
	"github.com/sendgate/sendgate/gateway/hold"
	"github.com/sendgate/sendgate/gateway/mailbox"
	"github.com/sendgate/sendgate/gateway/maillog"
	"github.com/sendgate/sendgate/gateway/milter"
	"github.com/sendgate/sendgate/gateway/notify"
	"github.com/sendgate/sendgate/gateway/notify/webhook"
	"github.com/sendgate/sendgate/gateway/postfix"
	"github.com/sendgate/sendgate/gateway/recall"
	"github.com/sendgate/sendgate/gateway/relay"
	"github.com/sendgate/sendgate/gateway/relay/upstream"
	"github.com/sendgate/sendgate/gateway/track"
	"github.com/sendgate/sendgate/gateway/web"
	"github.com/sendgate/sendgate/gateway/web/signin"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/policy/anomaly"
	"github.com/sendgate/sendgate/policy/similar"
	"github.com/sendgate/sendgate/store"
)

// Config is the whole configuration; each part owns its own section.
type Config struct {
	// Hostname names this gateway in greetings, Received lines and DSNs.
	Hostname   string                     `yaml:"hostname"`
	Store      store.Config               `yaml:"store"`
	Relay      relay.Config               `yaml:"relay"`
	Upstreams  []upstream.Config          `yaml:"upstreams"`
	Milter     milter.Config              `yaml:"milter"`
	Postfix    postfix.Config             `yaml:"postfix"`
	Delivery   hold.Config                `yaml:"delivery"`
	Track      track.Config               `yaml:"track"`
	Policy     policy.Config              `yaml:"policy"`
	Domains    domain.Config              `yaml:"domains"`
	Similar    similar.Config             `yaml:"similar"`
	Anomaly    anomaly.Config             `yaml:"anomaly"`
	Recall     recall.Config              `yaml:"recall"`
	Mailboxes  []mailbox.Config           `yaml:"mailboxes"`
	Notices    notify.Config              `yaml:"notices"`
	Webhooks   []webhook.SubscriberConfig `yaml:"webhooks"`
	Identities []policy.Identity          `yaml:"identities"`
	API        web.Config                 `yaml:"api"`
	Dashboard  signin.Config              `yaml:"dashboard"`
	Log        LogConfig                  `yaml:"log"`
}

// LogConfig says how much is logged, and in which form.
type LogConfig struct {
	Level  string `yaml:"level"`  // debug, info, warn or error
	Format string `yaml:"format"` // json or console
	// Mail says where the mail log is written.
	Mail maillog.Config `yaml:"mail"`
}

// DefaultConfig is what holds for every key that the file leaves out.
func DefaultConfig() Config {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "localhost"
	}
	return Config{
		Hostname:  host,
		Store:     store.DefaultConfig(),
		Relay:     relay.DefaultConfig(),
		Milter:    milter.DefaultConfig(),
		Postfix:   postfix.DefaultConfig(),
		Delivery:  hold.DefaultConfig(),
		Track:     track.DefaultConfig(),
		Policy:    policy.DefaultConfig(),
		Domains:   domain.DefaultConfig(),
		Similar:   similar.DefaultConfig(),
		Anomaly:   anomaly.DefaultConfig(),
		Recall:    recall.DefaultConfig(),
		Notices:   notify.DefaultConfig(),
		API:       web.DefaultConfig(),
		Dashboard: signin.DefaultConfig(),
		Log:       LogConfig{Level: "info", Format: "json", Mail: maillog.DefaultConfig()},
	}
}

// Load reads and checks a configuration file. The error names every fault with its line.
func Load(name string) (Config, error) {
	cfg := DefaultConfig()
	data, err := os.ReadFile(name)
	if err != nil {
		return cfg, fmt.Errorf("read configuration: %w", err)
	}
	file, err := config.Decode(name, data, &cfg)
	if !file.Readable() {
		return cfg, err // what it says is not known: nothing in it can be missing
	}
	return cfg, errors.Join(err, file.Locate(cfg.Validate()))
}

// Validate reports every fault at once, as [policy.Faults].
func (c *Config) Validate() error {
	var faults policy.Faults
	if c.Hostname == "" || strings.ContainsAny(c.Hostname, " <>@\r\n") {
		faults.Add("hostname", c.Hostname, "name this gateway as others reach it, such as mail-gw.corp.example")
	}
	faults.In("store", c.Store.Validate())
	faults.In("relay", c.Relay.Validate())
	faults.In("milter", c.Milter.Validate())
	faults.In("postfix", c.Postfix.Validate())
	if len(c.Relay.Listen)+len(c.Milter.Listen) == 0 {
		faults.Add("relay.listen", nil, "the gateway has no front: name an address here or in milter.listen")
	}
	faults.In("delivery", c.Delivery.Validate())
	faults.In("policy", c.Policy.Validate())
	faults.In("domains", c.Domains.Validate())
	faults.In("similar", c.Similar.Validate())
	faults.In("anomaly", c.Anomaly.Validate())
	c.validateRecalls(&faults)
	faults.In("notices", c.Notices.Validate())
	faults.In("webhooks", webhook.ValidateSubscribers(c.Webhooks))
	faults.In("api", c.API.Validate())
	faults.In("dashboard", c.Dashboard.Validate())
	_, err := policy.NewDirectory(c.Identities)
	faults.In("identities", err)
	c.validateUpstreams(&faults)
	c.validateTrack(&faults)
	c.validateRules(&faults)
	c.validateLimits(&faults)
	c.validateGroups(&faults, "anomaly.services", c.Anomaly.Services)
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, c.Log.Level) {
		faults.Add("log.level", c.Log.Level, "must be one of debug, info, warn, error")
	}
	if !slices.Contains([]string{"json", "console"}, c.Log.Format) {
		faults.Add("log.format", c.Log.Format, "must be json or console")
	}
	faults.In("log.mail", c.Log.Mail.Validate())
	return faults.Err()
}

// validateUpstreams wants different names, and exactly one upstream for what no other one names.
func (c *Config) validateUpstreams(faults *policy.Faults) {
	if len(c.Upstreams) == 0 {
		faults.Add("upstreams", nil, "name the mail server behind the gateway; \"sendgate setup\" proposes a configuration for the Postfix of this machine")
		return
	}
	seen, fallback := map[string]bool{}, 0
	for i := range c.Upstreams {
		u := &c.Upstreams[i]
		at := "upstreams[" + strconv.Itoa(i) + "]"
		faults.In(at, u.Validate())
		if seen[u.Name] {
			faults.Add(at+".name", u.Name, "there is another upstream of this name")
		}
		seen[u.Name] = true
		if len(u.Match) == 0 {
			fallback++
		}
	}
	if fallback != 1 {
		faults.Add("upstreams", nil, "%d upstreams have no match: exactly one takes what no other one names", fallback)
	}
}

// validateGroups finds groups that nobody is in: a slip of the pen that would never match.
func (c *Config) validateGroups(faults *policy.Faults, at string, groups []string) {
	for i, g := range groups {
		if !slices.ContainsFunc(c.Identities, func(id policy.Identity) bool { return slices.Contains(id.Groups, g) }) {
			faults.Add(fmt.Sprintf("%s[%d]", at, i), g, "no identity is in this group")
		}
	}
}

// validateRules finds hold rules for nobody.
func (c *Config) validateRules(faults *policy.Faults) {
	for i := range c.Policy.Rules {
		c.validateGroups(faults, fmt.Sprintf("policy.rules[%d].match.groups", i), c.Policy.Rules[i].Match.Groups)
	}
}

// validateLimits finds limits for nobody, routes to nowhere, and actions that a front cannot carry out.
func (c *Config) validateLimits(faults *policy.Faults) {
	for i := range c.Policy.Limits {
		l, at := &c.Policy.Limits[i], fmt.Sprintf("policy.limits[%d]", i)
		c.validateGroups(faults, at+".match.groups", l.Match.Groups)
		if l.Action != policy.Route {
			continue
		}
		if !slices.ContainsFunc(c.Upstreams, func(u upstream.Config) bool { return u.Name == l.Upstream }) {
			faults.Add(at+".upstream", l.Upstream, "there is no upstream of this name")
		}
		if len(c.Milter.Listen) > 0 {
			faults.Add(at+".action", string(l.Action), "a milter cannot send a message elsewhere: use hold, approval or tag, or only the relay")
		}
	}
}

// milterFixed is the part of the milter's section that is read once.
func milterFixed(c *Config) milter.Config {
	m := c.Milter
	return milter.Config{Listen: m.Listen, Connections: m.Connections, IdleTimeout: m.IdleTimeout, IDHeader: m.IDHeader}
}

// relayFixed is the part of the relay's section that is read once.
func relayFixed(c *Config) relay.Config {
	r := c.Relay
	return relay.Config{Listen: r.Listen, Connections: r.Connections, ConnectionsPerClient: r.ConnectionsPerClient, IdleTimeout: r.IdleTimeout}
}

// apiFixed is the part of the API's section that is read once.
func apiFixed(c *Config) web.Config {
	a := c.API
	return web.Config{Listen: a.Listen, Socket: a.Socket, Certificate: a.Certificate, Key: a.Key}
}

// restartKeys names the sections that differ in what only a restart takes over.
func restartKeys(old, now *Config) (keys []string) {
	for name, pair := range map[string][2]any{
		"hostname":  {old.Hostname, now.Hostname},
		"store":     {old.Store, now.Store},
		"relay":     {relayFixed(old), relayFixed(now)},
		"milter":    {milterFixed(old), milterFixed(now)},
		"postfix":   {old.Postfix, now.Postfix},
		"upstreams": {old.Upstreams, now.Upstreams},
		"delivery":  {old.Delivery, now.Delivery},
		"track":     {old.Track, now.Track},
		"api":       {apiFixed(old), apiFixed(now)},
		"log":       {old.Log, now.Log},
		"dashboard": {old.Dashboard.URL, now.Dashboard.URL},
		"domains":   {old.Domains, now.Domains},
		"similar":   {old.Similar, now.Similar},
		"mailboxes": {old.Mailboxes, now.Mailboxes},
		"notices":   {old.Notices, now.Notices},
		"webhooks":  {old.Webhooks, now.Webhooks},
		"anomaly":   {false, now.Anomaly.Enabled && !old.Anomaly.Enabled}, // who was not watched is not known
	} {
		if !reflect.DeepEqual(pair[0], pair[1]) {
			keys = append(keys, name)
		}
	}
	slices.Sort(keys)
	return keys
}

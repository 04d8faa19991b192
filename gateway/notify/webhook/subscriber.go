package webhook

import (
	"regexp"
	"strconv"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// A SubscriberConfig describes a program that is told of events.
type SubscriberConfig struct {
	// Name stands in logs, metrics and commands; the place in the journal is kept under it.
	Name string `yaml:"name"`
	// URL is where to post, or URLFile the file with it.
	URL     Secret `yaml:"url"`
	URLFile string `yaml:"url_file"`
	// SecretFile holds the secret that signs what is posted.
	SecretFile string `yaml:"secret_file"`
	// Events are the kinds that are posted; empty posts all.
	Events []policy.Kind `yaml:"events"`
	// Private permits an address on this machine or in a private network, and http to this machine.
	Private bool          `yaml:"private"`
	Timeout time.Duration `yaml:"timeout"` // of one request
}

// SetDefaults fills an entry of a list before the file is read into it.
func (c *SubscriberConfig) SetDefaults() { *c = SubscriberConfig{Timeout: 10 * time.Second} }

// subscriberName is a name that stands in a path of the API as it is.
var subscriberName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)

// ValidateSubscribers reports every fault of all of them at once, as [policy.Faults] with paths relative to the list.
func ValidateSubscribers(all []SubscriberConfig) error {
	var faults policy.Faults
	names := map[string]bool{}
	for i := range all {
		at := "[" + strconv.Itoa(i) + "]"
		faults.In(at, all[i].Validate())
		if name := all[i].Name; names[name] && name != "" {
			faults.Add(at+".name", name, "there is another webhook of this name")
		}
		names[all[i].Name] = true
	}
	return faults.Err()
}

// Validate reports every fault of one at once, as [policy.Faults]. It never repeats the URL.
func (c *SubscriberConfig) Validate() error {
	var faults policy.Faults
	if !subscriberName.MatchString(c.Name) {
		faults.Add("name", c.Name, "write lower-case letters, digits, - and _, at most 63; how far it was told is kept under it")
	}
	switch {
	case c.URL == "" && c.URLFile == "":
		faults.Add("url", nil, "say where to post: url, or url_file with a file that holds it")
	case c.URL != "" && c.URLFile != "":
		faults.Add("url_file", c.URLFile, "url and url_file exclude each other")
	case c.URL != "":
		if err := checkURL(string(c.URL), c.Private); err != nil {
			faults.Add("url", nil, "%v", err)
		}
	}
	for i, k := range c.Events {
		if !k.Valid() {
			faults.Add("events["+strconv.Itoa(i)+"]", string(k), "is no kind of event: held, released, bounced, relayed_remote, ...")
		}
	}
	if c.Timeout < time.Second || c.Timeout > time.Minute {
		faults.Add("timeout", c.Timeout, "must be between 1s and 60s")
	}
	return faults.Err()
}

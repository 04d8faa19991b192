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
	return validateList(len(all), "webhook", func(i int) (string, error) { return all[i].Name, all[i].Validate() })
}

// Validate reports every fault of one at once, as [policy.Faults]. It never repeats the URL.
func (c *SubscriberConfig) Validate() error {
	var faults policy.Faults
	if !subscriberName.MatchString(c.Name) {
		faults.Add("name", c.Name, "write lower-case letters, digits, - and _, at most 63; how far it was told is kept under it")
	}
	validateTarget(&faults, c.URL, c.URLFile, c.Private)
	for i, k := range c.Events {
		if !k.Valid() {
			faults.Add("events["+strconv.Itoa(i)+"]", string(k), "is no kind of event: held, released, bounced, relayed_remote, ...")
		}
	}
	validateTimeout(&faults, c.Timeout)
	return faults.Err()
}

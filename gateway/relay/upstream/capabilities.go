package upstream

import (
	"slices"
	"strconv"
	"strings"
)

// Capabilities is what a server offers in its answer to EHLO, over TLS where we use it. Its slices
// are shared: do not change them.
type Capabilities struct {
	Size         int64    // the largest message in octets; 0 is no limit, or SIZE is not offered
	Auth         []string // SASL mechanisms, upper case
	EightBitMIME bool
	SMTPUTF8     bool
	DSN          bool
	Pipelining   bool
	RequireTLS   bool // offered, and the server's certificate was verified (RFC 8689 4.2.1)
	Chunking     bool
	StartTLS     bool
	XClient      []string // attributes that XCLIENT grants, upper case
	XForward     []string // attributes that XFORWARD takes, upper case
	// RecipientsMax and MessagesMax bound a transaction and a connection (LIMITS RCPTMAX and
	// MAILMAX, RFC 9422); 0 is not stated.
	RecipientsMax int
	MessagesMax   int

	sizes bool // SIZE is offered
}

// parseCapabilities reads the text of a positive answer to EHLO or LHLO; its first line is the
// greeting.
func parseCapabilities(text string) Capabilities {
	var c Capabilities
	_, text, _ = strings.Cut(text, "\n")
	for line := range strings.Lines(text) {
		words := strings.Fields(strings.ToUpper(line))
		if len(words) == 0 {
			continue
		}
		c.add(words[0], words[1:])
	}
	return c
}

func (c *Capabilities) add(keyword string, parameters []string) {
	switch keyword {
	case "SIZE":
		c.sizes = true
		if len(parameters) > 0 {
			if n, err := strconv.ParseInt(parameters[0], 10, 64); err == nil && n > 0 {
				c.Size = n
			}
		}
	case "AUTH":
		c.addAuth(parameters)
	case "8BITMIME":
		c.EightBitMIME = true
	case "SMTPUTF8":
		c.SMTPUTF8 = true
	case "DSN":
		c.DSN = true
	case "PIPELINING":
		c.Pipelining = true
	case "REQUIRETLS":
		c.RequireTLS = true
	case "CHUNKING":
		c.Chunking = true
	case "STARTTLS":
		c.StartTLS = true
	case "XCLIENT":
		c.XClient = parameters
	case "XFORWARD":
		c.XForward = parameters
	case "LIMITS":
		c.addLimits(parameters)
	default:
		// "AUTH=LOGIN PLAIN" is what servers said before RFC 2554, and some still say beside AUTH.
		if first, ok := strings.CutPrefix(keyword, "AUTH="); ok {
			c.addAuth(append([]string{first}, parameters...))
		}
	}
}

func (c *Capabilities) addAuth(mechanisms []string) {
	for _, m := range mechanisms {
		if m != "" && !slices.Contains(c.Auth, m) {
			c.Auth = append(c.Auth, m)
		}
	}
}

func (c *Capabilities) addLimits(limits []string) {
	for _, l := range limits {
		name, value, _ := strings.Cut(l, "=")
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 {
			continue
		}
		switch name {
		case "RCPTMAX":
			c.RecipientsMax = n
		case "MAILMAX":
			c.MessagesMax = n
		}
	}
}

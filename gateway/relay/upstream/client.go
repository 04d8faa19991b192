package upstream

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// A Client is who gave us the mail, as we tell the server in XCLIENT and XFORWARD. Any field may be empty.
type Client struct {
	Addr     netip.Addr
	Port     uint16
	Helo     string
	Protocol string // SMTP, ESMTP, ESMTPSA, ... (RFC 3848)
	Login    string // SASL login
	ID       string // our own id of the message
}

// unavailable is what both commands say for a fact that is not known.
const unavailable = "[UNAVAILABLE]"

// maxAttribute bounds an encoded value, so that both commands stay below 512 octets.
const maxAttribute = 255

// appendXClient writes XCLIENT with those attributes that are granted. The name of the client is said
// to be unavailable, or the server would go on with ours.
func (c *Client) appendXClient(b []byte, granted []string) []byte {
	b = append(b, "XCLIENT"...)
	for _, a := range granted {
		switch a {
		case "NAME":
			b = appendAttribute(b, a, "")
		case "ADDR":
			b = appendAttribute(b, a, c.address())
		case "PORT":
			b = appendAttribute(b, a, c.port())
		case "PROTO":
			// XCLIENT knows these two only.
			protocol := "ESMTP"
			if strings.HasPrefix(strings.ToUpper(c.Protocol), "SMTP") {
				protocol = "SMTP"
			}
			b = appendAttribute(b, a, protocol)
		case "HELO":
			b = appendAttribute(b, a, c.Helo)
		case "LOGIN":
			b = appendAttribute(b, a, c.Login)
		}
	}
	return append(b, '\r', '\n')
}

// appendXForward writes XFORWARD with those attributes that the server takes.
func (c *Client) appendXForward(b []byte, offered []string, id string) []byte {
	if id == "" {
		id = c.ID
	}
	b = append(b, "XFORWARD"...)
	for _, a := range offered {
		switch a {
		case "NAME":
			b = appendAttribute(b, a, "")
		case "ADDR":
			b = appendAttribute(b, a, c.address())
		case "PORT":
			b = appendAttribute(b, a, c.port())
		case "PROTO":
			b = appendAttribute(b, a, c.Protocol)
		case "HELO":
			b = appendAttribute(b, a, c.Helo)
		case "IDENT":
			b = appendAttribute(b, a, id)
		case "SOURCE":
			source := "REMOTE"
			if !c.Addr.IsValid() {
				source = "LOCAL"
			}
			b = appendAttribute(b, a, source)
		}
	}
	return append(b, '\r', '\n')
}

// appendAttribute writes NAME=value in xtext. A value that does not fit is as good as none.
func appendAttribute(b []byte, name, value string) []byte {
	b = append(append(append(b, ' '), name...), '=')
	start := len(b)
	if value != "" {
		b = appendXtext(b, value)
	}
	if n := len(b) - start; n == 0 || n > maxAttribute {
		b = append(b[:start], unavailable...)
	}
	return b
}

func (c *Client) address() string {
	switch a := c.Addr.Unmap().WithZone(""); {
	case !a.IsValid():
		return ""
	case a.Is4():
		return a.String()
	default:
		return "IPV6:" + a.String()
	}
}

func (c *Client) port() string {
	if c.Port == 0 {
		return ""
	}
	return strconv.Itoa(int(c.Port))
}

// impersonates reports whether the attributes suffice to act for a client with a login.
func impersonates(granted []string) bool {
	return slices.Contains(granted, "ADDR") && slices.Contains(granted, "LOGIN")
}

package ask

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime"
	"mime/multipart"
	"strings"

	"github.com/sendgate/sendgate/policy/content"
)

const (
	maxHead  = 256 << 10
	maxParts = 32
	maxDepth = 4
)

// enclosed looks for attached messages in the beginning of a message, and gives their Message-IDs.
func enclosed(head []byte) (found bool, ids []string) {
	w := walk{visit: func(kind, name string, body io.Reader) {
		if isMessage(kind, name) {
			found = true
			h, _ := header(body)
			if all := h.IDs("Message-ID"); len(all) > 0 {
				if id, ok := messageID(all[0]); ok {
					ids = add(ids, id)
				}
			}
		}
	}}
	w.message(head)
	return found, ids
}

// isMessage holds for an attached message, or its header alone, however it is attached.
func isMessage(kind, name string) bool {
	switch kind {
	case "message/rfc822", "message/global", "text/rfc822-headers", "message/global-headers":
		return true
	}
	return strings.HasSuffix(strings.ToLower(name), ".eml")
}

// header reads a header; rest is what follows it.
func header(r io.Reader) (h content.Header, rest []byte) {
	octets, _ := io.ReadAll(io.LimitReader(r, maxHead)) // what came before an error counts
	for len(octets) > 0 {
		line := octets
		if end := bytes.IndexByte(octets, '\n'); end >= 0 {
			line = octets[:end+1]
		}
		if !h.AddLine(line) {
			if len(bytes.TrimRight(line, "\r\n")) == 0 { // the empty line is the end of the header
				octets = octets[len(line):]
			}
			break
		}
		octets = octets[len(line):]
	}
	return h, octets
}

// A walk goes through the parts of a message. It does not go into attached messages.
type walk struct {
	visit func(kind, name string, body io.Reader)
	parts int
}

func (w *walk) message(head []byte) {
	if len(head) == 0 {
		return
	}
	h, body := header(bytes.NewReader(head))
	w.part(h.Get, bytes.NewReader(body), 0)
}

// part looks at a part whose fields are given.
func (w *walk) part(field func(name string) string, body io.Reader, depth int) {
	if w.parts++; w.parts > maxParts {
		return
	}
	kind, params, _ := mime.ParseMediaType(field("Content-Type"))
	if strings.HasPrefix(kind, "multipart/") {
		if depth < maxDepth && params["boundary"] != "" {
			w.multipart(multipart.NewReader(body, params["boundary"]), depth+1)
		}
		return
	}
	_, disposition, _ := mime.ParseMediaType(field("Content-Disposition"))
	name := disposition["filename"]
	if name == "" {
		name = params["name"]
	}
	// RFC 2046 5.2.1 forbids base64 for messages; files have it, and some programs do not care.
	if strings.EqualFold(strings.TrimSpace(field("Content-Transfer-Encoding")), "base64") {
		body = base64.NewDecoder(base64.StdEncoding, body)
	}
	w.visit(kind, name, body)
}

func (w *walk) multipart(r *multipart.Reader, depth int) {
	for w.parts <= maxParts {
		p, err := r.NextRawPart()
		if err != nil { // the end, or that of what is known
			return
		}
		w.part(p.Header.Get, p, depth)
	}
}

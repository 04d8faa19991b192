package milter

// maxReport bounds what is kept of a message from the null sender: a delivery status notification has
// what matters at its beginning.
const maxReport = 256 << 10

// Reports takes what may be a delivery status notification (RFC 3464): a message from the null
// sender, with CRLF at the ends of lines, cut after 256 KiB. It must not block.
type Reports func(message []byte)

// A report is a message from the null sender as it comes in; nil keeps nothing.
type report struct{ raw []byte }

func (r *report) field(name, value string) {
	if r == nil || len(r.raw)+len(name)+len(value) > maxReport {
		return
	}
	r.raw = append(r.raw, name...)
	r.raw = append(r.raw, ": "...)
	for i := range len(value) { // folds come with LF
		if value[i] == '\n' {
			r.raw = append(r.raw, '\r')
		}
		r.raw = append(r.raw, value[i])
	}
	r.raw = append(r.raw, "\r\n"...)
}

func (r *report) endHeader() {
	if r != nil {
		r.raw = append(r.raw, "\r\n"...)
	}
}

func (r *report) body(chunk []byte) {
	if r != nil {
		r.raw = append(r.raw, chunk[:min(len(chunk), max(0, maxReport-len(r.raw)))]...)
	}
}

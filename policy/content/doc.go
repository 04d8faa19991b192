// Package content reads a message as a person sees it: its header, its visible text and its
// attachments, from the raw octets, while they pass by.
//
// An [Extractor] is a writer. A front tees the octets of a message through it and asks for the
// [Content] at the end; nothing it does can block, fail or refuse a message. [Read] is the same for
// a message that lies somewhere. A [Header] may be filled alone, by lines (relay) or by fields
// (milter); it replaces no octet, it only decodes.
//
// # Text
//
// Of multipart/alternative one part is taken: the HTML if it shows any text, as mail programs do,
// else the plain one. HTML is reduced to what is seen: no scripts, styles and titles, nothing
// hidden by the hidden attribute or by display, visibility, opacity, a font of a pixel, a box of no
// size that clips, a place outside the page, or the colour of the ground; simple rules of style
// elements count as well. Where it cannot be told, the text counts as visible: dropping what people
// read would let bulk mail through. That is why max-height:0 hides only with overflow:hidden, and
// mso-hide:all, which only Outlook obeys, does not hide. Blocks become lines; lines within
// a quotation (blockquote, gmail_quote, Outlook's reply block) begin with "> " as in plain text.
// Pictures within HTML (data: addresses) are passed over. Flowed text is joined (RFC 3676).
// Zero-width characters stay: to fold them is the reader's work. A message/rfc822 that is attached is
// read too; its text is kept apart, its attachments are listed with the others.
//
// # Trust
//
// Every octet is hostile. Nothing is fetched, unpacked or executed. All text handed out is valid
// UTF-8; header values contain no control characters.
//
// # Failure
//
// There is none for the sender. What cannot be read as declared is read as well as possible
// (an unknown charset as UTF-8, GB18030, Big5 or windows-1252, whatever fits; a multipart
// without its boundary as text) and named in [Content.Problems]. What is over a limit is left out
// and [Content.Truncated] says so. [Read] returns its reader's error beside what was read.
//
// # Concurrency
//
// An Extractor belongs to one goroutine and starts none. A Content is never changed after Close.
//
// # Standards
//
// RFC 5322 (header, with the obsolete forms seen in the wild), 2045 and 2046 (MIME), 2047 (encoded
// words, also the broken ones), 2231 (parameters), 2183 (disposition), 3676 (flowed text), 6532
// (UTF-8 headers), 2152 (UTF-7), the WHATWG encoding labels. gb2312 and gbk are read as GB18030.
//
// # Limits
//
// See [Limits]. Memory does not depend on the size of the message (with the default limits it stays
// below 4 MB between two writes): attachments are hashed as they pass, a line is held up to 8 KiB, text
// parts up to Limits.Bytes, one at a time. Time is linear in the octets;
// the part that is not cheap, turning text parts into text, has a budget. Archives are not opened,
// winmail.dat, calendars and uuencoded files are attachments or text like any other. Style sheets
// are understood as far as single selectors (p, .x, p.x, #x); rules for some media are ignored.
package content

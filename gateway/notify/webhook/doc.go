// Package webhook tells people in chat rooms, and programs, what happened: it posts a [Notice] to the
// hooks that are configured.
//
//	json      our own JSON, for programs: see [Payload]
//	wecom     WeCom (企业微信) group robot, markdown
//	dingtalk  DingTalk (钉钉) group robot, markdown, signed when there is a secret
//	feishu    Feishu (飞书, Lark) custom bot, a card, signed when there is a secret
//	slack     Slack incoming webhook, blocks
//	teams     Microsoft Teams workflow "when a webhook request is received", an Adaptive Card
//
// A json hook with a secret carries two header fields by which the receiver knows us:
//
//	X-Sendgate-Timestamp  seconds since 1970
//	X-Sendgate-Signature  sha256=, and HMAC-SHA256 of timestamp, ".", body, in hexadecimal digits
//
// and always X-Sendgate-Delivery, which stays the same when a delivery is tried again.
//
// # Pace
//
// Each hook has a queue of 100 notices. A notice replaces one of the same incident that still waits.
// Chat rooms take few messages a minute (WeCom and DingTalk 20, and DingTalk then shuts the door for
// ten): when more notices wait than there is room for in this minute, they go as one message that
// lists them. Programs get each notice by itself.
//
// # Trust
//
// Notices hold foreign text: subjects, addresses. For chat rooms it is made one line of clean UTF-8
// and cannot become markup, a link, or a call to everybody in the room; programs get it as it is. URLs
// of hooks are passwords: they are never logged, and neither is what a server answers, but for the
// code and text of the chat services, from which parts of the URL are taken out. TLS is required
// except to loopback, and certificates are checked. Redirects are not followed.
//
// # Failure
//
// [Sender.Notify] never waits. What cannot be delivered is tried again after 2 s, 4 s, ... 5 min, or
// when the server says (Retry-After), for an hour; then it is logged and given up, and so is at once
// what the server refuses for good. Of a full queue the least severe and oldest is dropped. What waits
// when the process ends gets one try within five seconds. Notices are not stored: the journal is the
// record.
//
// # Concurrency
//
// Notify may be called from any goroutine, before [Sender.Run] too. Run has one goroutine for each
// hook and waits for all of them.
//
// # Standards
//
// RFC 2104 (HMAC), RFC 9110 10.2.3 (Retry-After), RFC 6585 4 (429); the message formats of the
// services as documented by them, Adaptive Cards 1.4. The proxy of the environment (HTTPS_PROXY) is
// used.
//
// # Limits
//
// Text is cut to what a service takes: WeCom 4096 octets, DingTalk and Feishu 20 kB, Slack 3000
// characters, Teams 28 kB. A robot that several programs share may meet its limit all the same. Chat
// messages are not edited: an update of an incident is a new message.
package webhook

// Package signin lets people into the dashboard.
//
//	desk.go       who may sign in, and how often one may try
//	user.go       local users, with their roles, kept in the store
//	password.go   argon2id
//	session.go    sessions: found by a cookie, revocable
//	ending.go     the two ends of a session, and who is told of them
//	setup.go      the one-time link that makes the first administrator
//	oidc.go       single sign-on by OpenID Connect
//
// # Ways in
//
// A local user has a name and a password of sendgate's own. A mail user signs in with the login and password
// of the mailbox, which the mail server checks ([Checker]: SMTP AUTH or IMAP), and has the role user; identities of the
// configuration may give more. With OpenID Connect the provider says who it is, and its groups give the role.
// While there is no local administrator, [Desk.SetUp] gives a token for a link that makes one, once.
//
// One name can be that of a local user, of a mailbox and of somebody whom the provider knows: the local user goes
// before the mailbox, and the sessions of one do not show among those of another.
//
// # Sessions
//
// A session is a random token of 256 bits in a cookie (HttpOnly, SameSite=Lax; over TLS Secure and called __Host-); the store
// has its SHA-256 only. It ends after Config.Idle without a request, after Config.Longest in any case, when it
// is signed out or revoked, and when the user's password or role changes. A live page or a stream that is open
// is a request each time that it looks. Signing in always makes a new one. A mail
// user's ends when the configuration gives the login another identity or role. The groups of single sign-on are
// looked at when somebody signs in.
//
// # Trust
//
// Names and passwords come from anybody. Tries are bounded for each name and for each client address; the
// answer to a wrong name and to a wrong password is the same, and takes the same time. At most two passwords
// are hashed at a time: each takes 19 MiB.
//
// # Failure
//
// When the store cannot write nobody new gets in, and sessions go on. When the upstream does not answer a mail
// user is told so, and it does not count as a wrong password.
//
// # Concurrency
//
// All methods may be called at once.
//
// # Standards
//
// RFC 9106 (argon2id; the parameters are those of OWASP's Password Storage Cheat Sheet: m=19456, t=2, p=1),
// RFC 6265 (cookies), OpenID Connect Core 1.0 with PKCE (RFC 7636), state and nonce.
//
// # Limits
//
// A session's last use is written at most once a minute, and is that much older after a crash. Behind a proxy that is not
// among the trusted ones all clients have one address, and share their tries.
package signin

// Package shell is the listener around a protocol library: it bounds connections and drains them.
//
// A library that speaks a protocol well seldom guards its socket. A [Shell] accepts on any number
// of ports, and what it hands on is a [Conn] whose reads are buffered, whose pauses are bounded and
// whose end it waits for.
//
// # Trust
//
// Peers are hostile. One that opens many connections meets the caps; one that says nothing meets
// the idle limit; one that drips a byte now and then meets the minimum rate. The PROXY protocol is
// demanded from the configured balancers and never read from anybody else, for whom its header is
// just a bad command. A balancer that does not say whom it speaks for (LOCAL, UNKNOWN) leaves the
// client's address unknown: it is not taken for the balancer's own.
//
// # Failure
//
// Too many connections: the refusal line is written and the connection closed. Out of file
// descriptors: accepting pauses, up to a second at a time. A read beyond its bounds fails with
// [os.ErrDeadlineExceeded].
//
// # Concurrency
//
// One goroutine per connection; the shell starts it, and Drain waits for it. A Conn may be closed
// from anywhere, read by one goroutine and written by another.
//
// # Standards
//
// PROXY protocol versions 1 and 2 (haproxy's proxy-protocol.txt, section 2).
//
// # Limits
//
// A pause is noticed between 7/8 of the idle limit and the whole: deadlines are costly, so they
// move in steps. Addresses of IPv6 clients count by /64.
package shell

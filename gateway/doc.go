// Package gateway puts the parts together and runs them.
//
// [Load] reads the configuration, [New] opens the journal and builds the parts in the order in which
// they depend on each other, [Gateway.Run] serves until its context ends and then takes everything
// down backwards: listeners close, sessions drain, timers stop, the journal closes.
//
// The parts do not know each other. What one needs of another is an interface of its own, and the
// small adapters between them are here: routing by recipient domain (route.go), what an upstream's
// reply means (deliver.go), what the API asks of the hold (holder.go).
//
// # Reload
//
// [Gateway.Reload] takes over rules, identities, networks and tokens for new sessions; no connection
// is lost. What needs a restart (listeners, upstreams, the data directory) is named in its error and
// stays as it was.
//
// # Failure
//
// When one part ends with an error, the others are stopped and Run returns it. Nothing is decided
// here about mail.
package gateway

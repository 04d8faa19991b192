// Package config reads the configuration file: YAML into structs that the caller hands in.
//
// It knows nothing of what the keys mean. The caller fills a struct with defaults and calls
// [Decode]; what the file does not name stays as it is. Each part then checks its own values and
// reports [policy.Faults] with the paths of keys, and [File.Locate] finds the places of those
// paths in the file. Everything wrong is reported at once, one line each:
//
//	sendgate.yaml:12:7: relay.listen[0].adress: unknown key: did you mean "address"?
//
// that is file, line, column, key, value where there is one, and what to do.
//
// # Types
//
// The type of the field decides how a value is read, not the look of the value: "sha256: 1234" is
// a string when the field is one. Known are structs (the yaml tag names the key, "-" hides the
// field), lists, maps with string keys, strings, booleans, whole numbers, decimal numbers,
// [time.Duration], and everything that implements [encoding.TextUnmarshaler]. A key without a
// value keeps the default, so that all of a section may be commented out. A list or a map in the
// file replaces the default one; each entry of a list begins with what it sets as a
// [Defaulter].
//
// Secrets never stand in the file: keys such as password_file name a file that holds one. So
// [Print] may print everything.
//
// # Trust
//
// The file is the administrator's, yet nothing in it may crash the program. It is at most 4 MiB
// of UTF-8.
//
// # Failure
//
// A file that is not YAML yields one fault, because the parser stops there; all other faults are
// gathered. After an error the struct is filled as far as possible, so that its parts can still be
// checked; it must not be used for anything else.
//
// # Concurrency
//
// Functions without state. A [File] is not changed after Decode.
//
// # Standards
//
// YAML 1.2, without anchors, aliases, merge keys, tags and further documents: what a key means is
// read at its place.
//
// # Limits
//
// Columns count characters, not octets. Map keys with dots or brackets cannot be told from paths
// by Locate; it then names the place of the map.
package config

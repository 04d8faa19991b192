package postfix

import (
	"fmt"
	"strings"
)

// The alphabet of long queue ids: base 52, no vowels.
const base52 = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz"

// A short id is five hexadecimal digits of microseconds and the inode number; a long one is at
// least six digits in base 52 of seconds, four of microseconds, "z", and the inode number in base
// 51, which has no z (Postfix, global/mail_queue.h).
const (
	minShortID  = 6
	longSeconds = 6
	longUsec    = 4
	maxID       = 40
	hexDigits   = "0123456789ABCDEF"
)

// ValidID reports whether the text can be a queue id of Postfix, short or long. Nothing else is ever
// handed to a program or made part of a file name.
func ValidID(id string) bool {
	if len(id) > maxID {
		return false
	}
	if len(id) >= minShortID && only(id, hexDigits) {
		return true
	}
	return separator(id) > 0
}

// separator is the place of the z in a long id, 0 when it is none.
func separator(id string) int {
	z := strings.LastIndexByte(id, 'z')
	if z < longSeconds+longUsec || z == len(id)-1 || !only(id, base52) {
		return 0
	}
	return z
}

func only(s, alphabet string) bool {
	for i := range len(s) {
		if strings.IndexByte(alphabet, s[i]) < 0 {
			return false
		}
	}
	return true
}

// hashed is what names the subdirectories of an id in a hashed queue: its leading digits, of the
// microseconds in hexadecimal where the id is a long one.
func hashed(id string) string {
	z := separator(id)
	if z == 0 || only(id, hexDigits) {
		return id
	}
	usec := 0
	for _, digit := range id[z-longUsec : z] {
		usec = usec*len(base52) + strings.IndexRune(base52, digit)
	}
	return fmt.Sprintf("%05X", usec)
}

package web

import (
	"reflect"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
)

// schemaOf gives the reference to the schema of a type, registering it when it is new.
func schemaOf[T any](r huma.Registry) *huma.Schema {
	return r.Schema(reflect.TypeFor[T](), true, "")
}

func itoa(i int) string { return strconv.Itoa(i) }

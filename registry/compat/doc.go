// Package compat says whether events that were written by one schema can be read by
// another one.
//
// The one rule: it judges as the way in reads. What it calls compatible is read without a
// fault that lies in the schemas; what it does not, some event shows. With JSON Schemas, of which
// not all can be compared, it says so where it does not know.
//
// Read Check first.
package compat

// Package faultproxy stands between a client and a server and does to their connections what
// networks and dying servers do: nothing arrives, all is cut, a byte comes at a time, nobody listens.
//
// The one rule: a fault holds from the moment Set returns, for connections that are open too.
package faultproxy

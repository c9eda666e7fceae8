// Package schemaregistry is the adapter to a schema registry that speaks Confluent's
// REST interface, which those of Redpanda, Karapace and Apicurio do as well.
//
// The one rule: only the registry's own word that a schema does not exist is an
// absence. Whatever else goes wrong is feature.Unavailable: it says nothing of the event.
//
// Read Open first.
package schemaregistry

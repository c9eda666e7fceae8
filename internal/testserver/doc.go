// Package testserver gives tests real servers: Kafka, Redis, PostgreSQL and S3.
//
// Where a server comes from, first that can be had:
//
//  1. an address in the environment (WEIR_TEST_KAFKA, WEIR_TEST_REDIS,
//     WEIR_TEST_POSTGRES_URL, WEIR_TEST_S3) is used as it is;
//  2. a container, where a container engine answers at once;
//  3. a child process of the test (see native and scripts/setup-test.sh).
//
// A test that has none of these skips and says so; with WEIR_TEST_REQUIRE=1 it fails.
//
// The one rule: Kafka, Redis, Postgres and S3 may be shared with other tests, so use
// names of your own (see Name; S3 gives each caller a bucket) and clear nothing; only OwnKafka, OwnRedis, OwnValkey,
// OwnPostgres and OwnS3, which ignore the environment, may be stopped.
//
// Read Kafka first. A package that calls it more than once should have
//
//	func TestMain(m *testing.M) { testserver.Main(m) }
//
// so that one broker, started by the first test that asks, serves them all.
package testserver

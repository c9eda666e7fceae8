package ingest_test

import (
	"testing"

	"github.com/weir-ml/weir/internal/testserver"
)

func TestMain(m *testing.M) { testserver.Main(m) }

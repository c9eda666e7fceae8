package embedded

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"
)

// childEnv makes this test binary serve instead of testing, so that a test can
// kill a real process.
const childEnv = "WEIR_TEST_EMBEDDED_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		k, err := StartKafka(context.Background(), KafkaConfig{Dir: dir, Addr: "127.0.0.1:0"})
		if err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		fmt.Println("addr", k.Addr())
		time.Sleep(10 * time.Minute) // until killed
		os.Exit(1)
	}
	os.Exit(m.Run())
}

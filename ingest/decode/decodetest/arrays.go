package decodetest

import (
	"encoding/base64"
	"encoding/json"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/weir-ml/weir/registry/feature"
)

// EmbeddingLen is how many floats the embedding of an event of ArraysEvent has.
const EmbeddingLen = 32

// ArraysSource is the source of the events of ArraysEvent.
func ArraysSource() *feature.Source {
	return &feature.Source{
		Meta: feature.Meta{Project: "default", Name: "baskets"}, Topic: "baskets", EventTime: feature.TimeField{Field: "ts"},
		Schema: json.RawMessage(`{"type":"object","properties":{"skus":{"type":"array","items":{"type":"string"},"maxItems":100}},"required":["customer_id","ts"]}`),
	}
}

// ArraysView is a resolved view with an array of every type.
func ArraysView() *feature.View {
	array := func(name string, elem feature.Type) feature.Field {
		return feature.Field{Name: name, Type: feature.Array(elem)}
	}
	return &feature.View{
		Meta: feature.Meta{Project: "default", Name: "basket"}, Source: "baskets", Entities: []string{"customer"},
		Features: []feature.Field{
			array("embedding", feature.Float32), array("prices", feature.Float64), array("skus", feature.String), array("counts", feature.Int32),
			array("ids", feature.Int64), array("gifts", feature.Bool), array("seen", feature.Timestamp), array("codes", feature.Bytes),
		},
		Version: 1, Keys: []feature.Field{{Name: "customer_id", Type: feature.String, Path: "customer_id"}}, SourceOf: ArraysSource(),
	}
}

// ArraysEvent is event number i with arrays of every type: an embedding, and what
// up to five articles in a basket are. An event in ten has no array but the embedding.
func ArraysEvent(i int, rng *rand.Rand) []byte {
	at := Start.Add(time.Duration(i) * 10 * time.Millisecond)
	b := AppendCustomer([]byte(`{"customer_id":"`), rng.IntN(Customers))
	b = at.AppendFormat(append(b, `","ts":"`...), "2006-01-02T15:04:05.000Z")
	b = appendList(append(b, `","embedding":`...), EmbeddingLen, func(b []byte) []byte {
		return strconv.AppendFloat(b, rng.NormFloat64(), 'f', 6, 32)
	})
	if rng.IntN(10) == 0 {
		return append(b, '}')
	}
	n := rng.IntN(6)
	list := func(name string, f func(b []byte) []byte) {
		b = appendList(append(append(append(b, `,"`...), name...), `":`...), n, f)
	}
	list("prices", func(b []byte) []byte { return strconv.AppendFloat(b, float64(rng.IntN(100_000))/100, 'f', -1, 64) })
	list("skus", func(b []byte) []byte { return strconv.AppendQuote(b, "sku-"+strconv.Itoa(rng.IntN(100_000))) })
	list("counts", func(b []byte) []byte { return strconv.AppendInt(b, int64(rng.IntN(9)), 10) })
	list("ids", func(b []byte) []byte { return strconv.AppendInt(b, rng.Int64(), 10) })
	list("gifts", func(b []byte) []byte { return strconv.AppendBool(b, rng.IntN(5) == 0) })
	list("seen", func(b []byte) []byte {
		return append(at.Add(-time.Duration(rng.IntN(1e9))).UTC().AppendFormat(append(b, '"'), "2006-01-02T15:04:05.000Z"), '"')
	})
	list("codes", func(b []byte) []byte {
		return append(base64.StdEncoding.AppendEncode(append(b, '"'), strconv.AppendInt(nil, rng.Int64N(1e9), 10)), '"')
	})
	return append(b, '}')
}

func appendList(b []byte, n int, f func([]byte) []byte) []byte {
	b = append(b, '[')
	for i := range n {
		if i > 0 {
			b = append(b, ',')
		}
		b = f(b)
	}
	return append(b, ']')
}

package embedded

import (
	"regexp"
	"strconv"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var topicNameRE = regexp.MustCompile(`^[A-Za-z0-9._-]{1,249}$`)

// controlTopics sees to it that each topic, however it comes to be, is on disk
// before anybody hears of it and says itself how large its records may be.
//
// Kfake can create topics on a metadata request by its own option, but then
// does not write them down before a clean stop: a kill would lose the topic, and
// all its records with it. And it accepts larger records by the broker's
// message.max.bytes without showing it among the topic's settings, where
// clients look.
//
// Both functions run between two requests of the broker, where its admin calls
// are allowed.
func controlTopics(c *kfake.Cluster) {
	size := strconv.Itoa(MaxMessageBytes)
	const key = "max.message.bytes"

	c.ControlKey(int16(kmsg.Metadata), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		req := kreq.(*kmsg.MetadataRequest)
		if !req.AllowAutoTopicCreation {
			return nil, nil, false
		}
		for _, t := range req.Topics {
			if t.Topic != nil && topicNameRE.MatchString(*t.Topic) {
				// Where it exists or cannot be, the answer to the request says so.
				_ = c.CreateTopic(*t.Topic, -1, map[string]string{key: size})
			}
		}
		return nil, nil, false
	})

	c.ControlKey(int16(kmsg.CreateTopics), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		req := kreq.(*kmsg.CreateTopicsRequest)
	topics:
		for i := range req.Topics {
			for _, have := range req.Topics[i].Configs {
				if have.Name == key {
					continue topics
				}
			}
			conf := kmsg.NewCreateTopicsRequestTopicConfig()
			conf.Name, conf.Value = key, &size
			req.Topics[i].Configs = append(req.Topics[i].Configs, conf)
		}
		return nil, nil, false
	})
}

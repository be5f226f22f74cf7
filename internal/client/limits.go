package client

import "time"

const (
	maxAnswer   = 64 << 20         // bytes of one REST answer: 1,000 identities are about 1 MB
	maxLine     = 2 << 20          // bytes of one line of a stream: an event is at most 256 KB before base64
	tokenLife   = time.Hour        // of a SAS token; a stream is checked when it opens
	maxIdle     = 8                // connections kept for the next call
	dialTimeout = 10 * time.Second // to reach the hub
	callTimeout = time.Minute      // of one REST call
)

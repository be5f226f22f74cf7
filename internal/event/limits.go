package event

// maxStamps is how many senders an Encoder remembers what it writes of them.
const maxStamps = 4096

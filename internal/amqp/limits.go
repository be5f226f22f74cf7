package amqp

// maxAddress is the longest address of a link, in bytes: two ids of 128 characters, each
// encoded three bytes for one, and the words around them.
const maxAddress = 1024

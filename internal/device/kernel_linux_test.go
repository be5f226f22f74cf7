package device

import (
	"net"
	"testing"
)

// layer is a wrapper that shows what is under it.
type layer struct{ net.Conn }

func (l layer) NetConn() net.Conn { return l.Conn }

func TestKernelTellsUntilTheSocketIsClosed(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	ask := Kernel(layer{layer{server}})
	if ask == nil {
		t.Fatal("a TCP socket under two layers was not found")
	}
	if got := ask(); got.State != 1 || got.RTT <= 0 || !got.Known() {
		t.Errorf("an open connection: %+v, want state 1 (established) with a round trip", got)
	}
	if err := server.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got := ask(); got.State != 4 && got.State != 5 {
		t.Errorf("after our end of stream: state %d, want 4 or 5 (FIN-WAIT)", got.State)
	}
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	if got := ask(); got.Known() {
		t.Errorf("a closed socket gave %+v", got)
	}
}

func TestKernelOfWhatIsNoSocket(t *testing.T) {
	here, there := net.Pipe()
	defer here.Close()
	defer there.Close()
	if Kernel(here) != nil || Kernel(layer{here}) != nil || Kernel(nil) != nil {
		t.Error("the kernel is asked about something it does not know")
	}
}

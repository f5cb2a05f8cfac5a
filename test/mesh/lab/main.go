// Command lab is the control plane of a mesh that lives for one test. Real tailscaled processes join it without
// being asked anything; one JSON document says whose they are and what they may. It stands on Tailscale's own
// testcontrol package and listens on one address.
//
//	PUT /document    replaces the document; every node hears of it at once
//	GET /nodes       who joined: machine name → its addresses
package main

import (
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"

	"tailscale.com/derp/derpserver"
	"tailscale.com/net/stun"
	"tailscale.com/tailcfg"
	"tailscale.com/tstest/integration/testcontrol"
	"tailscale.com/types/key"
	"tailscale.com/types/logger"
)

func main() {
	log.SetFlags(0)
	ip := flag.String("ip", "127.0.0.1", "where the control server and the relay listen")
	port := flag.Int("port", 0, "of the control server")
	domain := flag.String("domain", "mesh.test", "of the tailnet, below which the machines are named")
	flag.Parse()

	address := net.JoinHostPort(*ip, fmt.Sprint(*port))
	control := &testcontrol.Server{
		Logf:            logger.Discard,
		ExplicitBaseURL: "http://" + address,
		MagicDNSDomain:  *domain,
		DNSConfig:       &tailcfg.DNSConfig{Proxied: true, Domains: []string{*domain}},
		DERPMap:         relay(*ip),
	}
	tailnet := newTailnet(control, *domain)
	control.AltMapStream = tailnet.stream

	mux := http.NewServeMux()
	mux.Handle("/", control)
	mux.HandleFunc("PUT /document", func(w http.ResponseWriter, r *http.Request) {
		var next document
		decoder := json.NewDecoder(r.Body)
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&next); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		tailnet.replace(next)
	})
	mux.HandleFunc("GET /nodes", func(w http.ResponseWriter, _ *http.Request) {
		nodes := map[string][]netip.Prefix{}
		for _, node := range control.AllNodes() {
			nodes[machineName(node)] = node.Addresses
		}
		_ = json.NewEncoder(w).Encode(nodes)
	})
	listener := must(net.Listen("tcp", address))
	fmt.Println("ready")
	log.Fatal(http.Serve(listener, mux))
}

// relay runs a DERP relay and a STUN responder, without which no node gets on-line, and says where they are.
func relay(ip string) *tailcfg.DERPMap {
	derp := httptest.NewUnstartedServer(derpserver.Handler(derpserver.New(key.NewNode(), logger.Discard)))
	_ = derp.Listener.Close()
	derp.Listener = must(net.Listen("tcp", net.JoinHostPort(ip, "0")))
	derp.Config.ErrorLog = log.New(logger.FuncWriter(logger.Discard), "", 0)
	derp.Config.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){} // DERP is spoken over HTTP/1
	derp.StartTLS()

	udp := must(net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(ip)}))
	go answerSTUN(udp)

	return &tailcfg.DERPMap{OmitDefaultRegions: true, Regions: map[int]*tailcfg.DERPRegion{1: {
		RegionID: 1, RegionCode: "lab",
		Nodes: []*tailcfg.DERPNode{{
			Name: "1", RegionID: 1, HostName: ip, IPv4: ip, IPv6: "none", STUNTestIP: ip, InsecureForTests: true,
			DERPPort: derp.Listener.Addr().(*net.TCPAddr).Port, STUNPort: udp.LocalAddr().(*net.UDPAddr).Port,
		}},
	}}}
}

func answerSTUN(udp *net.UDPConn) {
	packet := make([]byte, 2048)
	for {
		size, from, err := udp.ReadFromUDPAddrPort(packet)
		if err != nil {
			return
		}
		if transaction, err := stun.ParseBindingRequest(packet[:size]); err == nil {
			_, _ = udp.WriteToUDPAddrPort(stun.Response(transaction, from), from)
		}
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

package main

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"tailscale.com/tailcfg"
	"tailscale.com/tstest/integration/testcontrol"
)

// document is everything that a test can say of its tailnet.
type document struct {
	People   map[string]person  `json:"people"`   // by login name
	Machines map[string]machine `json:"machines"` // by host name; one that is not here belongs to nobody
	Grants   []grant            `json:"grants"`
}

type person struct {
	ID      tailcfg.UserID `json:"id"`
	Name    string         `json:"name"`
	Groups  []string       `json:"groups"` // as whois shows them
	Picture string         `json:"picture"`
}

type machine struct {
	Person     string                   `json:"person"` // a login name
	Tags       []string                 `json:"tags"`   // then it is nobody's
	Attributes []tailcfg.NodeCapability `json:"attributes"`
	Expired    bool                     `json:"expired"`
	Removed    bool                     `json:"removed"`
}

// grant gives capabilities. src and dst hold "*", login names, groups, tags and host names.
type grant struct {
	Src []string           `json:"src"`
	Dst []string           `json:"dst"`
	App tailcfg.PeerCapMap `json:"app"`
}

// tailnet makes network maps out of the document, for the nodes that testcontrol has let in.
type tailnet struct {
	control *testcontrol.Server
	domain  string

	mu      sync.Mutex
	said    document
	changed chan struct{} // closed, and replaced, when a new map is due
}

// Whoever owns a tagged machine, in the real service as well.
const taggedDevices tailcfg.UserID = 1 << 31

func newTailnet(control *testcontrol.Server, domain string) *tailnet {
	return &tailnet{control: control, domain: domain, changed: make(chan struct{})}
}

func (t *tailnet) replace(next document) {
	t.mu.Lock()
	t.said = next
	t.mu.Unlock()
	t.announce()
}

func (t *tailnet) announce() {
	t.mu.Lock()
	defer t.mu.Unlock()
	close(t.changed)
	t.changed = make(chan struct{})
}

func machineName(node *tailcfg.Node) string { return node.Hostinfo.Hostname() }

// stream answers a node's map requests. testcontrol's own answer knows neither people nor capabilities of one node only.
func (t *tailnet) stream(ctx context.Context, w testcontrol.MapStreamWriter, request *tailcfg.MapRequest) {
	if !request.Stream {
		t.update(request)
		_ = w.SendMapMessage(&tailcfg.MapResponse{})
		return
	}
	keepAlive := time.NewTicker(20 * time.Second)
	defer keepAlive.Stop()
	for {
		networkMap, changed := t.networkMap(request)
		if networkMap == nil || w.SendMapMessage(networkMap) != nil {
			return
		}
		for waiting := true; waiting; {
			select {
			case <-ctx.Done():
				return
			case <-changed:
				waiting = false
			case <-keepAlive.C:
				if w.SendMapMessage(&tailcfg.MapResponse{KeepAlive: true}) != nil {
					return
				}
			}
		}
	}
}

// update takes down what a node says of itself: where it can be reached, and its Hostinfo.
func (t *tailnet) update(request *tailcfg.MapRequest) {
	node := t.control.Node(request.NodeKey)
	if node == nil || request.ReadOnly {
		return
	}
	node.Endpoints, node.DiscoKey, node.Cap = request.Endpoints, request.DiscoKey, request.Version
	if info := request.Hostinfo; info != nil {
		node.Hostinfo = info.View()
		if info.NetInfo != nil {
			node.HomeDERP = info.NetInfo.PreferredDERP
		}
	}
	t.control.UpdateNode(node)
	t.announce()
}

// networkMap is the mesh as the asking node may see it, and the channel that closes when it is out of date.
func (t *tailnet) networkMap(request *tailcfg.MapRequest) (*tailcfg.MapResponse, <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	response, err := t.control.MapResponse(request)
	if err != nil || response == nil {
		return nil, t.changed
	}
	now := time.Now()
	response.ControlTime = &now // keys expire by this clock
	response.Domain = t.domain

	self := response.Node
	t.describe(self)
	self.CapMap[tailcfg.CapabilityHTTPS] = nil // so that "tailscale serve" speaks TLS
	var peers []*tailcfg.Node
	for _, peer := range response.Peers {
		t.describe(peer)
		if t.said.Machines[machineName(self)].Removed || t.said.Machines[machineName(peer)].Removed {
			response.PeersRemoved = append(response.PeersRemoved, peer.ID) // a list of no peers would mean "as before"
		} else {
			peers = append(peers, peer)
		}
	}
	response.Peers = peers
	response.UserProfiles = t.profiles()
	response.PacketFilter = append(slices.Clone(tailcfg.FilterAllowAll), t.capabilities(self, peers)...)
	return response, t.changed
}

// describe writes the document's words into a node.
func (t *tailnet) describe(node *tailcfg.Node) {
	said := t.said.Machines[machineName(node)]
	node.Name = machineName(node) + "." + t.domain + "."
	node.Tags = said.Tags
	node.User = t.said.People[said.Person].ID
	if len(said.Tags) > 0 {
		node.User = taggedDevices
	}
	node.CapMap = tailcfg.NodeCapMap{}
	for _, attribute := range said.Attributes {
		node.CapMap[attribute] = nil
	}
	if said.Expired {
		node.KeyExpiry = time.Now().Add(-time.Hour)
	}
	online := true
	node.Online = &online
}

func (t *tailnet) profiles() []tailcfg.UserProfile {
	profiles := []tailcfg.UserProfile{{ID: taggedDevices, LoginName: "tagged-devices", DisplayName: "Tagged Devices"}}
	for _, login := range slices.Sorted(maps.Keys(t.said.People)) {
		said := t.said.People[login]
		profiles = append(profiles, tailcfg.UserProfile{
			ID: said.ID, LoginName: login, DisplayName: said.Name, ProfilePicURL: said.Picture, Groups: said.Groups,
		})
	}
	return profiles
}

// capabilities are the rules that give peers of self what the grants say; they stand beside one that lets everybody connect.
func (t *tailnet) capabilities(self *tailcfg.Node, peers []*tailcfg.Node) (rules []tailcfg.FilterRule) {
	for _, grant := range t.said.Grants {
		if !t.named(self, grant.Dst) {
			continue
		}
		var from []string
		for _, node := range append(slices.Clone(peers), self) {
			if t.named(node, grant.Src) {
				for _, address := range node.Addresses {
					from = append(from, address.String())
				}
			}
		}
		if len(from) > 0 {
			given := tailcfg.CapGrant{Dsts: slices.Clone(self.Addresses), CapMap: grant.App}
			rules = append(rules, tailcfg.FilterRule{SrcIPs: from, CapGrant: []tailcfg.CapGrant{given}})
		}
	}
	return rules
}

// named tells whether one of the names means this node: its host name, its tags, or of its owner login and groups.
func (t *tailnet) named(node *tailcfg.Node, names []string) bool {
	said := t.said.Machines[machineName(node)]
	known := append([]string{"*", machineName(node)}, said.Tags...)
	if len(said.Tags) == 0 && said.Person != "" {
		known = append(append(known, said.Person), t.said.People[said.Person].Groups...)
	}
	return slices.ContainsFunc(names, func(name string) bool { return slices.Contains(known, name) })
}

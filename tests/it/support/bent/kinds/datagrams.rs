//! RTP over UDP.

use std::time::Duration;

use super::super::{Answer, Bend, Expect, Memory, Out, PLAIN, Packet, Request, all};

const UDP: Bend = Bend { settings: &[("TRANSPORT", "udp")], lasts: Duration::from_secs(6), ..PLAIN };

fn server_port(answer: &mut Answer, with: impl Fn(&str) -> String) {
    answer.change("Transport", |value| {
        let (before, rest) = value.split_once(";server_port=").unwrap_or((value, ";"));
        let (ports, after) = rest.split_once(';').unwrap_or((rest, ""));
        format!("{before}{};{after}", with(ports))
    });
}

/// Packets change places within windows of `reach`, once every so many pictures.
fn shuffled(packets: Vec<Packet>, memory: &mut Memory, reach: usize, every: u64) -> Vec<Out> {
    let mut packets = packets;
    if memory.pictures.is_multiple_of(every) {
        for window in packets.chunks_mut(reach) {
            window.reverse();
        }
    }
    all(packets)
}

pub(crate) static DATAGRAMS: &[Bend] = &[
    Bend { name: "UDP", report: "RFC 2326 12.39", ..UDP },
    Bend {
        name: "UDP, ports of the server are 0",
        report: "mediamtx 407, 691 (old cameras)",
        answer: |_, answer, _| server_port(answer, |_| ";server_port=0-1".to_owned()),
        ..UDP
    },
    Bend {
        name: "UDP, no port of the server, its name",
        report: "OpenIPC smolrtsp 31",
        answer: |_, answer, _| server_port(answer, |_| ";source=ipcamera.local".to_owned()),
        ..UDP
    },
    Bend {
        name: "UDP, ports far apart",
        report: "RootEncoder 48",
        answer: |_, answer, _| {
            server_port(answer, |ports| format!(";server_port={}-9", ports.split('-').next().unwrap()));
        },
        ..UDP
    },
    Bend {
        name: "UDP, one port of the server",
        report: "firmware without RTCP",
        answer: |_, answer, _| {
            server_port(answer, |ports| format!(";server_port={}", ports.split('-').next().unwrap()));
        },
        ..UDP
    },
    Bend {
        name: "UDP, the client's ports are not repeated, the profile is not",
        report: "hand-written firmware",
        answer: |request: &Request, answer, _| {
            if request.method == "SETUP" {
                answer.set("Transport", "RTP/AVP/UDP;unicast");
            }
        },
        ..UDP
    },
    Bend {
        name: "UDP, two neighbours change places",
        report: "Wi-Fi and meshes; ffmpeg puts them in order",
        packets: |packets, memory| shuffled(packets, memory, 2, 1),
        ..UDP
    },
    Bend {
        name: "UDP, five packets come in reverse",
        report: "Wi-Fi and meshes; two lines bound together",
        packets: |packets, memory| shuffled(packets, memory, 5, 3),
        ..UDP
    },
    Bend {
        name: "UDP, each packet comes twice",
        report: "Wi-Fi, mirrored ports",
        packets: |packets, _| packets.into_iter().flat_map(|packet| vec![Out::Packet(packet); 2]).collect(),
        ..UDP
    },
    Bend {
        name: "UDP, a packet is lost every three seconds",
        report: "Wi-Fi",
        packets: |packets, memory| {
            let mut packets = packets;
            if memory.pictures % 60 == 33 {
                packets.pop();
            }
            all(packets)
        },
        expect: Expect::Noted,
        ..UDP
    },
    Bend {
        name: "UDP, the last packet of a picture comes with the next one",
        report: "Wi-Fi that sends again",
        packets: |packets, memory| {
            let mut packets = packets;
            let before = memory.held.pop_front();
            if memory.pictures % 20 == 11 {
                memory.held.extend(packets.pop());
            }
            let mut packets: Vec<_> = packets.into_iter().collect();
            // Behind the first one of the next picture.
            let place = packets.len().min(1);
            packets.splice(place..place, before);
            all(packets)
        },
        expect: Expect::Noted,
        ..UDP
    },
    Bend {
        name: "UDP, a datagram of nothing, and one of a stranger's words",
        report: "devices that keep holes in routers open",
        packets: |packets, memory| {
            let mut all = all(packets);
            if memory.pictures % 10 == 3 {
                all.insert(0, Out::Report(Vec::new()));
                all.insert(0, Out::Report(b"hello".to_vec()));
            }
            all
        },
        ..UDP
    },
];

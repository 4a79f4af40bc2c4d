/// How messages and gradients travel, and how fast.
#include "doctor.hpp"

#include <lockstep/comm/gradient_sum.hpp>
#include <lockstep/comm/nodes.hpp>
#include <lockstep/comm/tags.hpp>

#include <mpi.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <optional>
#include <set>

namespace lockstep::launch {
namespace {

/// Of a message there and back, in microseconds, and of large ones, in gigabytes per second.
struct Ping {
    double latency = 0, bandwidth = 0;
};

class Pinger {
  public:
    Pinger(const Communicator& communicator, int other) : communicator_(communicator), other_(other) {}

    /// The fastest of several turns: the others have met somebody else on the way.
    Ping measure() {
        constexpr std::size_t large = std::size_t{1} << 20;
        constexpr int few = 8, many = 100, turns = 5;
        Ping ping{.latency = 1e30, .bandwidth = 0};
        for (int turn = 0; turn < turns; ++turn) {
            ping.latency = std::min(ping.latency, seconds_one_way(sizeof(double), many) * 1e6);
            ping.bandwidth =
                std::max(ping.bandwidth, static_cast<double>(large) / seconds_one_way(large, few) / 1e9);
        }
        return ping;
    }

  private:
    double seconds_one_way(std::size_t bytes, int repetitions) {
        buffer_.resize(bytes);
        const bool first = communicator_.rank() < other_;
        const auto begin = std::chrono::steady_clock::now();
        for (int i = 0; i < repetitions; ++i) {
            if (first) send();
            receive();
            if (!first) send();
        }
        const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - begin;
        return passed.count() / (2 * repetitions);
    }
    void send() {
        MPI_Request request = MPI_REQUEST_NULL;
        communicator_.check(MPI_Isend(buffer_.data(), static_cast<int>(buffer_.size()), MPI_CHAR, other_,
                                      tags::ping.first, communicator_.handle(), &request),
                            "a ping");
        communicator_.wait(request, "a ping");
    }
    void receive() {
        MPI_Request request = MPI_REQUEST_NULL;
        communicator_.check(MPI_Irecv(buffer_.data(), static_cast<int>(buffer_.size()), MPI_CHAR, other_,
                                      tags::ping.first, communicator_.handle(), &request),
                            "a ping");
        communicator_.wait(request, "a ping");
    }

    const Communicator& communicator_;
    int other_;
    std::vector<char> buffer_;
};

std::string with_digits(double value, int digits) {
    char text[64];
    std::snprintf(text, sizeof text, "%.*f", digits, value);
    return text;
}

/// Between rank 0 and another, while all others wait.
Finding ping(const Communicator& communicator, const RankFacts& other, bool same_host) {
    const int me = communicator.rank();
    std::optional<Ping> ping;
    if (me == 0 || me == other.rank) ping = Pinger(communicator, me == 0 ? other.rank : 0).measure();
    communicator.wait_for_all("a ping between two ranks");
    if (!ping) return {};
    const std::string text = "ranks 0 and " + std::to_string(other.rank) +
                             (same_host ? ", on one host: " : ", on " + other.host + ": ") +
                             with_digits(ping->latency, 1) + " us a message, " +
                             with_digits(ping->bandwidth, 2) + " GB/s";
    constexpr double slow_us = 50;
    if (ping->latency < slow_us) return {Verdict::ok, "messages", text, ""};
    return {Verdict::note, "messages", text,
            same_host
                ? "ranks that share a core take so long; if they have cores of their own, see whether MPI "
                  "uses shared memory"
                : "so long take messages over Ethernet; if there is a faster network, see whether MPI uses "
                  "it (its btl, pml, UCX_NET_DEVICES or FI_PROVIDER)"};
}

/// Rank 0 with one neighbour on its host, and with the first rank of some other hosts.
Findings pings(const Communicator& communicator, const std::vector<RankFacts>& ranks) {
    constexpr std::size_t most_hosts = 8;
    const auto hosts = by_host(ranks);
    Findings found;
    if (hosts.front().size() > 1) found.push_back(ping(communicator, hosts.front()[1], true));
    for (std::size_t host = 1; host < std::min(hosts.size(), most_hosts); ++host)
        found.push_back(ping(communicator, hosts[host].front(), false));
    return found;
}

Finding settings(const std::vector<RankFacts>& ranks) {
    std::string text;
    for (const char* name :
         {"OMPI_MCA_pml", "OMPI_MCA_btl", "OMPI_MCA_mtl", "UCX_TLS", "UCX_NET_DEVICES", "FI_PROVIDER"}) {
        std::set<std::string> values;
        for (const RankFacts& one : ranks)
            if (const auto found = one.environment.find(name); found != one.environment.end())
                values.insert(found->second);
        for (const std::string& value : values) text += (text.empty() ? "" : ", ") + (name + ("=" + value));
    }
    return {Verdict::ok, "transport", text.empty() ? "as MPI chooses it: no variable says otherwise" : text,
            ""};
}

Finding gradients(const Communicator& communicator, const std::vector<RankFacts>& ranks) {
    constexpr Index some = 1 << 12;
    const Communicator ordered = by_node(communicator);
    const auto sum = GradientSum<float>::create(ordered, ReplicaMap(ordered.size(), ordered.size()), some);
    if (communicator.size() == 1) return {Verdict::ok, "gradients", "stay in the one rank that there is", ""};
    if (nodes_of(ordered)->largest() > 1 || by_host(ranks).size() > 1)
        return {Verdict::ok, "gradients", "are added " + sum->path(), ""};
    return {
        Verdict::warning, "gradients",
        "travel in messages, although all ranks are on one host: they cannot reach each other's memory",
        "start all ranks in one container, as one user; and see whether /proc/sys/kernel/yama/ptrace_scope "
        "or a memory limit stands in the way"};
}

}  // namespace

Findings examine_transport(const Communicator& communicator, const std::vector<RankFacts>& ranks) {
    Findings found{settings(ranks), gradients(communicator, ranks)};
    for (Finding& one : pings(communicator, ranks)) found.push_back(std::move(one));
    return found;
}

}  // namespace lockstep::launch

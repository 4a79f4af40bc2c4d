/// `lockstep bench scaling`: training on ever more ranks, first of one node, then of more nodes.
#include "benchmark.hpp"
#include "endless_trainer.hpp"
#include "options.hpp"

#include <lockstep/comm/nodes.hpp>
#include <lockstep/data/load_dataset.hpp>

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace lockstep::launch {
namespace {

/// 1, 2, 3, 4, then doubled, and `last`.
std::vector<int> ever_more(int last) {
    std::vector<int> all;
    for (int n = 1; n < last; n = n < 4 ? n + 1 : 2 * n) all.push_back(n);
    all.push_back(last);
    return all;
}

/// So many first ranks, counted node by node, and the nodes that they are on.
struct Part {
    int nodes, ranks;
};

std::vector<Part> parts_of(const Nodes& nodes) {
    std::vector<Part> all;
    for (const int ranks : ever_more(static_cast<int>(nodes.ranks_of(0).size()))) all.push_back({1, ranks});
    std::vector<int> up_to(1, 0);
    for (int node = 0; node < nodes.count(); ++node)
        up_to.push_back(up_to.back() + static_cast<int>(nodes.ranks_of(node).size()));
    for (const int count : ever_more(nodes.count()))
        if (count > 1) all.push_back({count, up_to[static_cast<std::size_t>(count)]});
    return all;
}

/// The same training on the first ranks, in four forms (not on the others, which only wait).
struct ScalingCase {
    std::optional<EndlessTrainer> weak, apart, local, strong;
};

/// Of fixed length, for ranks that wait cannot know how often the others repeat.
constexpr int steps_per_turn = 50;

void take_turn(std::optional<EndlessTrainer>& trainer) {
    if (!trainer) return;
    for (int i = 0; i < steps_per_turn; ++i) trainer->step();
}

}  // namespace

std::vector<BenchRow> bench_scaling(const Communicator& communicator, const RunOptions& options) {
    const DatasetPair data = load_dataset(options.data);
    const Index batch = options.trainer.batch_size;
    const Communicator ordered = by_node(communicator);
    const std::vector<Part> parts = parts_of(*nodes_of(ordered));
    std::vector<std::unique_ptr<ScalingCase>> cases;
    std::vector<std::function<void()>> turns;  // of all cases alternately, so that all meet the same machine
    for (const auto [nodes, ranks] : parts) {
        ScalingCase& one = *cases.emplace_back(std::make_unique<ScalingCase>());
        const bool works = ordered.rank() < ranks;
        const Communicator part = ordered.split(works ? 0 : 1, ordered.rank());
        if (works) {
            const TrainerOptions weak = with(options.trainer, ranks, "sync");
            TrainerOptions strong = weak;
            strong.batch_size = std::max<Index>(1, batch / ranks);
            one.weak.emplace(weak, *data.train, part);
            one.apart.emplace(with(options.trainer, 1, "sync"), *data.train, Communicator::self());
            one.local.emplace(with(options.trainer, ranks, "local"), *data.train, part);
            one.strong.emplace(strong, *data.train, part);
        }
        for (auto* trainer : {&one.weak, &one.apart, &one.local, &one.strong})
            turns.emplace_back([trainer] { take_turn(*trainer); });
    }
    const auto seconds = measure(ordered, turns, {.rounds = 15, .seconds_per_turn = 0});

    BenchTable table(
        ordered,
        "Samples per second on ever more ranks, sync; weak: " + std::to_string(batch) +
            " samples per rank; apart: as weak, but without any exchange, which is what the machine "
            "has to give; sync/local: time of a weak step with synchronized and with local statistics; "
            "strong: " +
            std::to_string(batch) + " samples in all",
        {{"nodes", 6},
         {"ranks", 6},
         {"weak samples/s", 15, 0},
         {"speed-up", 9, 2},
         {"apart samples/s", 16, 0},
         {"speed-up ", 9, 2},
         {"weak/apart", 11, 3},
         {"sync/local", 11, 3},
         {"strong samples/s", 17, 0},
         {"speed-up  ", 9, 2}});
    const auto rate = [&](std::size_t turn, Index samples) {
        return steps_per_turn * static_cast<double>(samples) / seconds[turn];
    };
    for (std::size_t i = 0; i < parts.size(); ++i) {
        const std::size_t turn = 4 * i;
        const Index ranks = parts[i].ranks;
        const double weak = rate(turn, batch * ranks), apart = rate(turn + 1, batch * ranks);
        const double strong = rate(turn + 3, std::max<Index>(1, batch / ranks) * ranks);
        table.row({parts[i].nodes, ranks, weak, weak / rate(0, batch), apart, apart / rate(1, batch),
                   weak / apart, seconds[turn] / seconds[turn + 2], strong, strong / rate(3, batch)});
    }
    return table.rows();
}

}  // namespace lockstep::launch

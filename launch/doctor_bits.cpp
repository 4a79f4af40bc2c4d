/// Whether all ranks together and each by itself come to the same bits.
#include "doctor.hpp"

#include <lockstep/base/error.hpp>
#include <lockstep/base/hash.hpp>
#include <lockstep/data/digits.hpp>
#include <lockstep/data/load_dataset.hpp>
#include <lockstep/train/trainer.hpp>
#include <lockstep/train/weights.hpp>

#include <algorithm>
#include <map>

namespace lockstep::launch {
namespace {

constexpr Index batch_size = 4, steps = 3;

/// The fingerprint after one short epoch. It has layers of all kinds that compute.
std::string train(const Dataset& data, int replicas, const Communicator& communicator) {
    TrainerOptions options{
        .model =
            "conv 4 3x3 pad 1, batchnorm, relu, maxpool 4, flatten, linear 20, batchnorm, relu, linear 10"};
    options.replicas = replicas;
    options.batch_size = batch_size;
    Trainer<float> trainer(options, data, communicator);
    trainer.run_epoch();
    return to_hex16(fingerprint(trainer.network()));
}

}  // namespace

Findings examine_bits(const Communicator& communicator) {
    // Each rank computes all replicas by itself: no more than a rank of a large job can do in a moment.
    const int replicas = std::max(2, communicator.size());
    try {
        const DatasetPair digits =
            load_dataset({.train_samples = replicas * batch_size * steps, .test_samples = 1});
        const std::string together = train(*digits.train, replicas, communicator);
        const std::string alone = train(*digits.train, replicas, Communicator::self());
        const auto all = communicator.all_gather(alone, "the bits of a short training");
        std::map<std::string, std::vector<int>> others;
        for (std::size_t rank = 0; rank < all.size(); ++rank)
            if (all[rank] != together) others[all[rank]].push_back(static_cast<int>(rank));
        if (others.empty())
            return {{Verdict::ok, "bits",
                     "a short training has the same on all ranks together and on each alone: " + together,
                     ""}};
        std::string text = "a short training gives " + together + " on all ranks together, but alone";
        for (const auto& [bits, ranks] : others) text += " " + bits + " on " + rank_list(ranks);
        return {{Verdict::error, "bits", text,
                 "a host that differs from the others in its memory, processor or libraries: run lockstep "
                 "doctor on "
                 "each alone, and leave out the one that differs"}};
    } catch (const NumericalError& error) {
        return {{Verdict::error, "bits", error.what(), "a host computes wrongly: leave it out"}};
    }
}

}  // namespace lockstep::launch

#include <lockstep/base/error.hpp>
#include <lockstep/base/hash.hpp>
#include <lockstep/train/weights.hpp>

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

namespace lockstep {
namespace {

template <class Scalar>
std::span<Scalar> part(std::span<Scalar> flat, const ParameterInfo& info) {
    return flat.subspan(static_cast<std::size_t>(info.offset), static_cast<std::size_t>(info.size));
}

template <class Scalar>
std::string counter_name(const BatchNorm<Scalar>& layer) {
    return layer.prefix() + "num_batches_tracked";
}

/// What the file has and the network has not.
template <class Scalar>
void check_no_strangers(const SafetensorsFile& file, const Network<Scalar>& network) {
    std::set<std::string> known;
    for (const auto& info : network.layout().parameters()) known.insert(info.name);
    for (const auto& info : network.layout().averages()) known.insert(info.name);
    for (const auto* layer : network.batch_norms()) known.insert(counter_name(*layer));
    for (const std::string& name : file.names())
        if (!known.contains(name) && !name.starts_with(optimizer_prefix))
            throw FileError(file.path().string() + ": does not fit the model: it holds '" + name +
                            "', which the model has not; is --model the one it was trained with?");
}

}  // namespace

template <class Scalar>
void add_weights(const Network<Scalar>& network, SafetensorsWriter& writer) {
    for (const auto& info : network.layout().parameters()) {
        const auto memory = part(network.parameters(), info);
        if (info.memory_order.empty()) {
            writer.add(info.name, info.shape, memory);
            continue;
        }
        std::vector<Scalar> file(memory.size());
        to_file_order<Scalar>(info, memory, file);
        writer.add(info.name, info.shape, std::move(file));
    }
    for (const auto& info : network.layout().averages())
        writer.add(info.name, info.shape, part(network.averages(), info));
    for (const auto* layer : network.batch_norms())
        writer.add(counter_name(*layer), {}, std::vector<std::int64_t>{layer->norm().batches_tracked()});
}

template <class Scalar>
void load_weights(const SafetensorsFile& file, Network<Scalar>& network) {
    check_no_strangers(file, network);
    // Into copies first: a file that fails half way must not leave a network that is half of each.
    std::vector<Scalar> parameters(network.parameters().size()), averages(network.averages().size());
    std::vector<Scalar> in_file_order;
    std::vector<std::int64_t> counters;
    for (const auto& info : network.layout().parameters()) {
        in_file_order.resize(static_cast<std::size_t>(info.size));
        file.copy_to(info.name, info.shape, std::span(in_file_order));
        to_memory_order<Scalar>(info, in_file_order, part(std::span(parameters), info));
    }
    for (const auto& info : network.layout().averages())
        file.copy_to(info.name, info.shape, part(std::span(averages), info));
    for (const auto* layer : network.batch_norms()) {
        std::int64_t count = 0;
        file.copy_to(counter_name(*layer), std::span<const Index>(), std::span(&count, 1));
        counters.push_back(count);
    }
    std::ranges::copy(parameters, network.parameters().begin());
    std::ranges::copy(averages, network.averages().begin());
    for (std::size_t i = 0; i < counters.size(); ++i)
        network.batch_norms()[i]->norm().set_batches_tracked(counters[i]);
}

template <class Scalar>
std::uint64_t fingerprint(const Network<Scalar>& network) {
    Hash64 hash;
    hash.add(std::as_bytes(network.parameters()));
    hash.add(std::as_bytes(network.averages()));
    for (const auto* layer : network.batch_norms()) hash.add_value(layer->norm().batches_tracked());
    return hash.value();
}

#define LOCKSTEP_INSTANTIATE(Scalar)                                                       \
    template LOCKSTEP_EXPORT void add_weights(const Network<Scalar>&, SafetensorsWriter&); \
    template LOCKSTEP_EXPORT void load_weights(const SafetensorsFile&, Network<Scalar>&);  \
    template LOCKSTEP_EXPORT std::uint64_t fingerprint(const Network<Scalar>&)

LOCKSTEP_INSTANTIATE(float);
LOCKSTEP_INSTANTIATE(double);
#undef LOCKSTEP_INSTANTIATE

}  // namespace lockstep

#include <lockstep/train/model_file.hpp>

#include <lockstep/base/error.hpp>
#include <lockstep/base/settings.hpp>
#include <lockstep/nn/model_parser.hpp>

#include <charconv>
#include <string_view>
#include <utility>
#include <vector>

namespace lockstep {
namespace {

constexpr const char* model_key = "lockstep.model";
constexpr const char* epsilon_key = "lockstep.epsilon";
constexpr const char* classes_key = "lockstep.classes";
constexpr const char* values_key = "lockstep.values";
constexpr const char* loss_key = "lockstep.loss";
constexpr const char* dataset_key = "lockstep.dataset";
constexpr const char* input_key = "lockstep.input";
constexpr const char* shape_key = "lockstep.input_shape";
constexpr const char* offset_key = "lockstep.input_offset";
constexpr const char* divisor_key = "lockstep.input_divisor";

/// The file may be sound, and a layer not registered here.
[[noreturn]] void throw_unusable(const SafetensorsFile& file, const UsageError& error) {
    throw FileError(file.path().string() + ": what its metadata say is of no use here: " + error.what());
}

[[noreturn]] void fail(const SafetensorsFile& file, const std::string& what) {
    throw FileError(file.path().string() + ": its metadata are damaged: " + what);
}

const std::string& entry(const SafetensorsFile& file, const char* key) {
    const auto found = file.metadata().find(key);
    if (found == file.metadata().end()) fail(file, std::string("'") + key + "' is missing");
    return found->second;
}

/// As many numbers as there are, with one space between two.
template <class Number>
std::vector<Number> numbers(const SafetensorsFile& file, const char* key) {
    const std::string& text = entry(file, key);
    std::vector<Number> values;
    const char* const end = text.data() + text.size();
    for (const char* next = text.data();;) {
        Number value{};
        const auto [after, error] = std::from_chars(next, end, value);
        if (error != std::errc() || (after != end && *after != ' '))
            fail(file, std::string("'") + key + "' is '" + text + "', not a list of numbers");
        values.push_back(value);
        if (after == end) return values;
        next = after + 1;
    }
}

template <class Number>
Number number(const SafetensorsFile& file, const char* key) {
    const std::vector<Number> values = numbers<Number>(file, key);
    if (values.size() != 1)
        fail(file, std::string("'") + key + "' is '" + entry(file, key) + "', not a number");
    return values[0];
}

/// One text for all channels.
template <class Get>
std::string channel_texts(const InputTransform& input, Get get) {
    std::string text;
    for (Index channel = 0; channel < input.shape().channels; ++channel)
        text += (channel > 0 ? " " : "") + shortest_text(get(channel));
    return text;
}

InputTransform read_input(const SafetensorsFile& file) {
    const std::vector<Index> extents = numbers<Index>(file, shape_key);
    if (extents.size() != 3) fail(file, std::string("'") + shape_key + "' is not height, width and channels");
    constexpr Index largest = Index{1} << 20;  // a product of three is still a number
    for (const Index extent : extents)
        if (extent < 1 || extent > largest)
            fail(file, std::string("'") + shape_key + "' is '" + entry(file, shape_key) + "'");
    return {parse_input_kind(entry(file, input_key)), Shape{extents[0], extents[1], extents[2]},
            numbers<double>(file, offset_key), numbers<double>(file, divisor_key)};
}

Target read_target(const SafetensorsFile& file) {
    const bool values = file.metadata().contains(values_key);
    const char* const key = values ? values_key : classes_key;
    const int count = number<int>(file, key);
    if (count < 1) fail(file, std::string("'") + key + "' is below 1");
    return values ? Target{.values = count} : Target{.classes = count};
}

std::string read_loss(const SafetensorsFile& file) {
    return file.metadata().contains(loss_key) ? entry(file, loss_key) : "cross-entropy";
}

}  // namespace

template <class Scalar>
ModelSignature signature_of(const Trainer<Scalar>& trainer) {
    return {.model = canonical_model(trainer.options().model),
            .epsilon = trainer.options().epsilon,
            .target = trainer.data().target(),
            .loss = trainer.loss()->text(),
            .dataset = trainer.data().name(),
            .input = trainer.transform()};
}

void add_signature(const ModelSignature& signature, SafetensorsWriter& writer) {
    const InputTransform& input = signature.input;
    const Shape& shape = input.shape();
    writer.set_metadata(model_key, signature.model);
    writer.set_metadata(epsilon_key, shortest_text(signature.epsilon));
    const Target& target = signature.target;
    if (target.classes > 0)
        writer.set_metadata(classes_key, std::to_string(target.classes));
    else
        writer.set_metadata(values_key, std::to_string(target.values));
    writer.set_metadata(loss_key, signature.loss);
    writer.set_metadata(dataset_key, signature.dataset);
    writer.set_metadata(input_key, to_string(input.kind()));
    writer.set_metadata(shape_key, std::to_string(shape.height) + " " + std::to_string(shape.width) + " " +
                                       std::to_string(shape.channels));
    writer.set_metadata(offset_key, channel_texts(input, [&](Index c) { return input.offset(c); }));
    writer.set_metadata(divisor_key, channel_texts(input, [&](Index c) { return input.divisor(c); }));
}

std::optional<ModelSignature> read_signature(const SafetensorsFile& file) {
    if (!file.metadata().contains(model_key)) return std::nullopt;
    try {
        ModelSignature signature{.model = canonical_model(entry(file, model_key)),
                                 .epsilon = number<double>(file, epsilon_key),
                                 .target = read_target(file),
                                 .loss = read_loss(file),
                                 .dataset = entry(file, dataset_key),
                                 .input = read_input(file)};
        if (!(signature.epsilon > 0)) fail(file, std::string("'") + epsilon_key + "' is not positive");
        return signature;
    } catch (const UsageError& error) {
        throw_unusable(file, error);
    }
}

template <class Scalar>
void save_model(const Network<Scalar>& network, const ModelSignature& signature,
                const std::filesystem::path& path) {
    SafetensorsWriter writer;
    add_weights(network, writer);
    add_signature(signature, writer);
    writer.write(path);
}

template <class Scalar>
LoadedModel<Scalar> load_model(const std::filesystem::path& path) {
    return load_model<Scalar>(SafetensorsFile::read(path));
}

template <class Scalar>
LoadedModel<Scalar> load_model(const SafetensorsFile& file) {
    std::optional<ModelSignature> signature = read_signature(file);
    if (!signature)
        throw FileError(file.path().string() +
                        ": does not say which model it is of: its metadata have no 'lockstep.model'");
    try {
        return load_model<Scalar>(file, *std::move(signature));
    } catch (const UsageError& error) {
        throw_unusable(file, error);
    }
}

template <class Scalar>
LoadedModel<Scalar> load_model(const SafetensorsFile& file, ModelSignature signature) {
    // No replicas but this process: infer never communicates.
    auto network = std::make_unique<Network<Scalar>>(
        parse_model(signature.model), signature.input.shape(),
        BatchNormSetup{.communicator = Communicator::self(), .placement = {}, .epsilon = signature.epsilon});
    // A loss of one's own may make of the outputs what it likes where the targets are values.
    if (signature.target.classes > 0 && network->output_shape().size() != signature.target.classes)
        throw UsageError("model: the last layer gives " + std::to_string(network->output_shape().size()) +
                         " values, but there are " + std::to_string(signature.target.classes) + " classes");
    LoadReport report = load_weights(file, *network);
    return {std::move(signature), std::move(network), std::move(report)};
}

#define LOCKSTEP_INSTANTIATE(Scalar)                                                               \
    template LOCKSTEP_EXPORT ModelSignature signature_of(const Trainer<Scalar>&);                  \
    template LOCKSTEP_EXPORT void save_model(const Network<Scalar>&, const ModelSignature&,        \
                                             const std::filesystem::path&);                        \
    template LOCKSTEP_EXPORT LoadedModel<Scalar> load_model<Scalar>(const std::filesystem::path&); \
    template LOCKSTEP_EXPORT LoadedModel<Scalar> load_model<Scalar>(const SafetensorsFile&);       \
    template LOCKSTEP_EXPORT LoadedModel<Scalar> load_model<Scalar>(const SafetensorsFile&, ModelSignature)

LOCKSTEP_INSTANTIATE(float);
LOCKSTEP_INSTANTIATE(double);
#undef LOCKSTEP_INSTANTIATE

}  // namespace lockstep

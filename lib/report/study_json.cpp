#include "../base/json_integer.hpp"

#include <lockstep/base/error.hpp>
#include <lockstep/report/study.hpp>

#include <nlohmann/json.hpp>

#include <cmath>

namespace lockstep {
namespace {

using Json = nlohmann::ordered_json;

Json number(double value) {
    return std::isfinite(value) ? Json(value) : Json(nullptr);
}

double read_number(const Json& value) {
    return value.is_null() ? not_measured : value.get<double>();
}

Json numbers(const std::vector<double>& values) {
    Json array = Json::array();
    for (const double value : values) array.push_back(number(value));
    return array;
}

std::vector<double> read_numbers(const Json& array) {
    std::vector<double> values;
    for (const Json& value : array) values.push_back(read_number(value));
    return values;
}

Outcome read_outcome(const std::string& text) {
    for (const Outcome outcome : {Outcome::finished, Outcome::failed, Outcome::left_out})
        if (text == to_string(outcome)) return outcome;
    throw FileError("unknown outcome '" + text + "'");
}

Json to_object(const Settings& settings) {
    Json object = Json::object();
    for (const auto& [name, value] : settings) object[name] = value;
    return object;
}

Json to_object(const StudyEpoch& epoch) {
    return {{"epoch", epoch.epoch},
            {"train_loss", number(epoch.train_loss)},
            {"train_score", number(epoch.train_score)},
            {"test_loss", number(epoch.test_loss)},
            {"test_score_pooled", number(epoch.pooled_score)},
            {"test_score_first", number(epoch.first_score)},
            {"test_score_precise", number(epoch.precise_score)},
            {"test_score_batch", number(epoch.batch_score)},
            {"drift", number(epoch.drift)}};
}

StudyEpoch read_epoch(const Json& object) {
    return {.epoch = json_integer<Index>(object.at("epoch")),
            .train_loss = read_number(object.at("train_loss")),
            .train_score = read_number(object.at("train_score")),
            .test_loss = read_number(object.at("test_loss")),
            .pooled_score = read_number(object.at("test_score_pooled")),
            .first_score = read_number(object.at("test_score_first")),
            .precise_score = read_number(object.at("test_score_precise")),
            .batch_score = read_number(object.at("test_score_batch")),
            .drift = read_number(object.at("drift"))};
}

Json to_object(const Combination& one) {
    Json epochs = Json::array(), losses = Json::array(), noise = Json::array();
    for (const StudyEpoch& epoch : one.epochs) epochs.push_back(to_object(epoch));
    for (const LossPoint& point : one.losses)
        losses.push_back({{"epoch", point.epoch}, {"loss", number(point.loss)}});
    for (const NoisePoint& point : one.noise)
        noise.push_back(
            {{"epoch", point.epoch}, {"mean", numbers(point.mean)}, {"variance", numbers(point.variance)}});
    return {{"mode", one.mode},
            {"batch_size", one.batch_size},
            {"replicas", one.replicas},
            {"seed", one.seed},
            {"outcome", to_string(one.outcome)},
            {"reason", one.reason},
            {"settings", to_object(one.settings)},
            {"fingerprint", one.fingerprint},
            {"ranks", one.ranks},
            {"seconds", number(one.seconds)},
            {"compute_seconds_per_step", number(one.compute_seconds)},
            {"communication_seconds_per_step", number(one.communication_seconds)},
            {"epochs", std::move(epochs)},
            {"losses", std::move(losses)},
            {"noise", std::move(noise)}};
}

Combination read_combination(const Json& object) {
    Combination one;
    one.mode = object.at("mode").get<std::string>();
    one.batch_size = json_integer<Index>(object.at("batch_size"));
    one.replicas = json_integer<int>(object.at("replicas"));
    one.seed = json_integer<std::uint64_t>(object.at("seed"));
    one.outcome = read_outcome(object.at("outcome").get<std::string>());
    one.reason = object.at("reason").get<std::string>();
    for (const auto& [name, value] : object.at("settings").items())
        one.settings.emplace_back(name, value.get<std::string>());
    one.fingerprint = object.at("fingerprint").get<std::string>();
    one.ranks = json_integer<int>(object.at("ranks"));
    one.seconds = read_number(object.at("seconds"));
    one.compute_seconds = read_number(object.at("compute_seconds_per_step"));
    one.communication_seconds = read_number(object.at("communication_seconds_per_step"));
    for (const Json& epoch : object.at("epochs")) one.epochs.push_back(read_epoch(epoch));
    for (const Json& point : object.at("losses"))
        one.losses.push_back({point.at("epoch").get<double>(), read_number(point.at("loss"))});
    for (const Json& point : object.at("noise"))
        one.noise.push_back({point.at("epoch").get<double>(), read_numbers(point.at("mean")),
                             read_numbers(point.at("variance"))});
    return one;
}

Json to_object(const PredictedStep& step) {
    return {{"local_seconds", number(step.local_seconds)},
            {"sync_seconds", number(step.sync_seconds)},
            {"sync_cost", number(step.cost())}};
}

Json to_object(const LinkModel& link) {
    return {{"latency_seconds", number(link.latency_seconds)},
            {"bandwidth_bytes_per_second", number(link.bandwidth_bytes_per_second)},
            {"measured", link.measured}};
}

Json to_object(const Prediction& prediction) {
    Json compute = Json::array(), rows = Json::array(), checks = Json::array();
    for (const ComputeTime& one : prediction.compute)
        compute.push_back({{"batch_size", one.batch_size}, {"seconds", number(one.seconds)}});
    for (const PredictionRow& row : prediction.rows) {
        Json object = {{"batch_size", row.batch_size}, {"ranks", row.ranks}};
        for (std::size_t form = 0; form < predicted_forms.size(); ++form)
            object[std::string(to_string(predicted_forms[form]))] = to_object(row.steps[form]);
        rows.push_back(std::move(object));
    }
    for (const PredictionCheck& check : prediction.checks)
        checks.push_back({{"ranks", check.ranks},
                          {"batch_size", check.batch_size},
                          {"predicted", to_object(check.predicted)},
                          {"measured", to_object(check.measured)}});
    return {{"network", to_object(prediction.cluster.between)},
            {"node", to_object(prediction.cluster.within)},
            {"ranks_per_node", prediction.cluster.ranks_per_node},
            {"compute", std::move(compute)},
            {"rows", std::move(rows)},
            {"checks", std::move(checks)}};
}

}  // namespace

std::string to_json(const Combination& combination) {
    return to_object(combination).dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Combination combination_from_json(std::string_view text, const std::string& source) {
    try {
        return read_combination(Json::parse(text));
    } catch (const std::exception& error) {
        throw FileError(source + ": is not the record of a combination (" + error.what() +
                        "); remove it to have the combination computed again");
    }
}

std::string to_json(const Study& study) {
    Json combinations = Json::array();
    for (const Combination& one : study.combinations) combinations.push_back(to_object(one));
    Json object = {{"settings", to_object(study.settings)},
                   {"modes", study.modes},
                   {"batch_sizes", study.batch_sizes},
                   {"seeds", study.seeds},
                   {"global_batch", study.global_batch},
                   {"score", score_name(study.task)},
                   {"running_averages", to_string(study.averages)},
                   {"layers", study.layers},
                   {"machine", study.machine},
                   {"ranks", study.ranks},
                   {"combinations", std::move(combinations)}};
    if (study.prediction) object["prediction"] = to_object(*study.prediction);
    return object.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace lockstep

#include "core_load.hpp"

#include <chrono>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <thread>

namespace lockstep::launch {
namespace {

constexpr auto moment = std::chrono::milliseconds(500);
constexpr double nearly_all = 0.8;

struct Ticks {
    double busy = 0, all = 0;
};

/// Since the machine was started, by core: lines "cpu3 user nice system idle iowait …".
std::map<int, Ticks> read_ticks() {
    std::map<int, Ticks> cores;
    std::ifstream file("/proc/stat");
    for (std::string line; std::getline(file, line);) {
        std::istringstream words(line);
        std::string name;
        words >> name;
        if (!name.starts_with("cpu") || name.size() < 4) continue;
        Ticks ticks;
        constexpr int idle = 3, waiting_for_disk = 4, last = 7;  // guests are counted in user time
        double value = 0;
        for (int i = 0; i <= last && words >> value; ++i) {
            ticks.all += value;
            if (i != idle && i != waiting_for_disk) ticks.busy += value;
        }
        cores[std::stoi(name.substr(3))] = ticks;
    }
    return cores;
}

}  // namespace

std::vector<int> busy_cores(const std::vector<int>& cores) {
    const std::map<int, Ticks> before = read_ticks();
    std::this_thread::sleep_for(moment);
    const std::map<int, Ticks> after = read_ticks();
    std::vector<int> busy;
    for (const int core : cores) {
        const auto begin = before.find(core), end = after.find(core);
        if (begin == before.end() || end == after.end()) continue;
        const double all = end->second.all - begin->second.all;
        if (all > 0 && end->second.busy - begin->second.busy > nearly_all * all) busy.push_back(core);
    }
    return busy;
}

}  // namespace lockstep::launch

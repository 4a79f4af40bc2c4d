/// What becomes of a communicator that nobody holds any more.
///
/// One that has not failed is freed: all that was sent over it has been received. After a failure messages may still
/// be on their way, and MPI gives the numbers of freed communicators to new ones, which would take these messages
/// for their own. So, after a failure:
///  1. Each rank that lets go says farewell to every other rank: its last message over this communicator.
///  2. It throws away what arrives. Messages between two ranks keep their order, so with the farewell of a rank all
///     that this rank has ever sent is there.
///  3. With all farewells there, and with its own sends complete, it frees the communicator, and waits for nobody.
/// A rank that waits for a farewell does so without a thread: it looks whenever a communicator is made or let go.
/// If one never comes, for that rank has died or let go before anybody failed, the communicator stays to the end of
/// the program; likewise if a collective operation of MPI was given up, for there is no way to end one. A farewell
/// says whether that has happened.
#pragma once

#include "communicator_state.hpp"
#include "unfinished.hpp"

namespace lockstep {

/// Takes what the last handle has let go of. Never waits for other ranks.
void retire(CommunicatorState* state);

/// Keeps what MPI may still use and no communicator of ours owns, until it is complete.
void keep_until_complete(Unfinished unfinished);

/// Frees what can be freed by now. On a thread that may call MPI.
void visit_retired();

}  // namespace lockstep

/** What the nemesis does to Redis and to the connections to it, one thing at a time. */
import { setTimeout as sleep } from "node:timers/promises";
import { PROXY_FAULTS } from "./proxy.ts";
import type { Storm } from "./storm.ts";

/** Clients that can put the rings back when Redis is emptied, at least: one of them may be killed the next moment. */
const LEAST_KNOWING = 2;

export class RedisFaults {
  readonly #storm: Storm;
  #redisBusy = false;

  constructor(storm: Storm) {
    this.#storm = storm;
  }

  /** What the fault does; undefined while another one is under way, or nobody could tell an emptied Redis of the rings. */
  onRedis(
    fault: "redisStopped" | "redisRestartedEmpty" | "redisFailedOver" | "redisCut",
  ): (() => Promise<void>) | undefined {
    if (this.#redisBusy) return undefined;
    const knowing = this.#storm.options.crew.filter(({ condition, knows }) => condition === "up" && knows);
    if (fault === "redisRestartedEmpty" && knowing.length < LEAST_KNOWING) return undefined;
    return async () => {
      this.#redisBusy = true;
      await this.#hitRedis(fault);
      this.#redisBusy = false;
    };
  }

  async #hitRedis(fault: "redisStopped" | "redisRestartedEmpty" | "redisFailedOver" | "redisCut"): Promise<void> {
    const { fleet, random } = this.#storm.options;
    this.#storm.note(`Redis: ${fault}`);
    switch (fault) {
      case "redisStopped":
        await fleet.redis.kill("SIGSTOP");
        await this.#storm.pause(300, 8_000);
        await fleet.redis.kill("SIGCONT");
        break;
      case "redisRestartedEmpty":
        await fleet.restartRedisEmpty();
        break;
      case "redisFailedOver":
        await fleet.failOver(random.exponential(600), sleep);
        break;
      case "redisCut":
        fleet.redisFault(random.pick(PROXY_FAULTS), 1_500);
        await this.#storm.pause(1_500, 1_500);
    }
    this.#storm.note(`Redis: end of ${fault}`);
  }
}

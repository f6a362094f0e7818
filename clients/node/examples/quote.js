// Prints the latest price of a symbol, or why there is none: node examples/quote.js http://localhost:50051 AAPL
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { PriceService } from "@finstage/contracts/finstage/price/v1/price_service_pb";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "@finstage/contracts/google/rpc/error_details_pb";

const [baseUrl, symbol] = process.argv.slice(2);
const prices = createClient(PriceService, createGrpcTransport({ baseUrl }));
try {
  const { quote } = await prices.getQuote({ symbol }, { timeoutMs: 10_000 });
  console.log(quote.symbol, quote.price, quote.currency);
} catch (caught) {
  const error = ConnectError.from(caught);
  console.error(`${Code[error.code]}: ${error.rawMessage}`);
  for (const info of error.findDetails(ErrorInfoSchema)) console.error(`reason: ${info.reason}`);
  for (const request of error.findDetails(BadRequestSchema))
    for (const wrong of request.fieldViolations) console.error(`field ${wrong.field}: ${wrong.description}`);
  for (const { retryDelay } of error.findDetails(RetryInfoSchema)) console.error(`try again in ${retryDelay.seconds} s`);
  process.exitCode = 1;
}

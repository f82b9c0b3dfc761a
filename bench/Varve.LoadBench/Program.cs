using Varve.LoadBench;

if (args is ["serve", string format, string image, string socket]) return await SelfHost.RunAsync(format, image, socket);
return 2;
